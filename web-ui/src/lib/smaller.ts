// A picture file as the daemon takes it: no longer than some pixels, and not of megabytes.

/** The longer side that is sent at most: more than any model looks at. */
const SIDE = 2048;
/** Files up to so many bytes are sent as they are. */
const MOST_BYTES = 3 << 20;

/** The file itself, or a smaller JPEG of it. What the browser cannot read is sent as it is: the daemon says what is wrong with it. */
export async function smaller(file: File): Promise<Blob> {
  if (file.size <= MOST_BYTES) return file;
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale)));
    canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
  } catch {
    return file;
  }
}
