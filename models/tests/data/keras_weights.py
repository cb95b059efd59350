"""Writes small files in every form in which Keras keeps weights, for the test `keras`: KERAS_BACKEND=torch python3 keras_weights.py

Values count up in the order in which Keras keeps them, over all layers.
"""

import keras
import numpy as np
import h5py

image = keras.Input((6, 6, 3))
x = keras.layers.Conv2D(4, 3, name="a_conv")(image)
x = keras.layers.BatchNormalization(name="a_bn")(x)
x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="a_dw")(x)
x = keras.layers.SeparableConv2D(5, 1, use_bias=False, name="sep")(x)
x = keras.layers.Flatten()(x)
x = keras.layers.Dense(2, name="fc1")(x)
model = keras.Model(image, keras.layers.Dense(3, name="predictions")(x))
count = 0
for layer in model.layers:
    values = []
    for weight in layer.weights:
        size = int(np.prod(weight.shape))
        values.append(np.arange(count, count + size, dtype=np.float32).reshape(weight.shape))
        count += size
    layer.set_weights(values)
model.save_weights("keras.weights.h5")
model.save("keras.keras")
model.save("keras_whole.h5")
# As Keras 2 did, whose files `keras.applications` fetches: TensorFlow's names, compressed by nobody.
with h5py.File("keras_2.h5", "w") as file:
    for layer in model.layers:
        group = file.create_group(layer.name)
        for weight in layer.weights:
            group.create_dataset(f"{layer.name}/{weight.name}:0", data=weight.numpy())
