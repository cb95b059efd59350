//! Values that lie in memory in another order than the one wanted.

/// The values of a tensor of this shape in row-major order, or nothing where one would lie outside of `stored`.
pub(super) fn gather<T: Copy>(stored: &[T], offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<T>> {
    let steps = || shape.iter().zip(strides);
    // Where the farthest value is inside, all are.
    let farthest =
        steps().try_fold(offset, |at, (&size, &stride)| at.checked_add(size.checked_sub(1)?.checked_mul(stride)?))?;
    stored.get(farthest)?;
    let mut values = Vec::with_capacity(shape.iter().product());
    let mut index = vec![0; shape.len()];
    loop {
        let at = index.iter().zip(strides).fold(offset, |at, (&index, &stride)| at + index * stride);
        match steps().next_back() {
            Some((&size, &stride)) => values.extend((0..size).map(|step| stored[at + step * stride])),
            None => values.push(stored[at]),
        }
        // The next row: the last index but one that is not at its end moves on, those behind it begin anew.
        let Some(axis) = (0..shape.len().saturating_sub(1)).rev().find(|&axis| index[axis] + 1 < shape[axis]) else {
            return Some(values);
        };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}
