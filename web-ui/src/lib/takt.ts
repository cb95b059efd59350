// The line's pace as people on the floor say it: seconds from part to part.

/** Under so many parts a second over the last ten seconds, the pace is the ten seconds' chance. */
const LEAST_RATE = 0.15;

/** Seconds a part, or null where too few came of late to say so. */
export const taktOf = (partsPerS: number): number | null => (partsPerS >= LEAST_RATE ? 1 / partsPerS : null);
