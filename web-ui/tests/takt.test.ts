import { expect, it } from 'vitest';
import { taktOf } from '../src/lib/takt';

it('says the takt in seconds a part, and nothing where parts hardly come', () => {
  expect(taktOf(8)).toBe(0.125);
  expect(taktOf(0.2)).toBe(5);
  expect(taktOf(0.1)).toBeNull();
  expect(taktOf(0)).toBeNull();
});
