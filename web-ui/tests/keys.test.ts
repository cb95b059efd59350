import { describe, expect, it } from 'vitest';
import { actOf, alike, BOUNCE_MS, keyed, nameOf, nameTrouble } from '../src/lib/keys';
import type { LearningLabel } from '../src/lib/learning';

const label = (name: string, verdict: LearningLabel['verdict'] = 'fail'): LearningLabel => ({ name, verdict, origin: 'model', count: 0 });
const labels = keyed([label('good', 'pass'), ...'abcdefghij'.split('').map((name) => label(name))]);
const press = (key: string, more = {}, shownMs = 10_000) => actOf({ key, repeat: false, ctrlKey: false, metaKey: false, altKey: false, ...more }, labels, shownMs);

describe('keyed', () => {
  it('gives G to the label that passes and digits to the others, as far as they go', () => {
    expect(labels.map((l) => l.key).join(' ')).toBe('G 1 2 3 4 5 6 7 8 9 ');
    expect(labels.at(-1)?.key).toBeNull();
  });
  it('gives no G where nothing passes', () => {
    expect(keyed([label('a'), label('b', 'review')]).map((l) => l.key)).toEqual(['1', '2']);
  });
});

describe('actOf', () => {
  it('knows the labels', () => {
    expect(press('1')).toEqual({ do: 'label', label: 'a' });
    expect(press('9')).toEqual({ do: 'label', label: 'i' });
    expect([press('g'), press('G')]).toEqual([{ do: 'label', label: 'good' }, { do: 'label', label: 'good' }]);
    expect(press('0')).toBeNull();
  });
  it('has no key for a label that is not there', () => {
    const few = keyed([label('a')]);
    const key = (key: string) => actOf({ key, repeat: false, ctrlKey: false, metaKey: false, altKey: false }, few, 10_000);
    expect([key('g'), key('2')]).toEqual([null, null]);
  });
  it('knows the rest', () => {
    expect(['u', 's', 'z', 'n'].map((key) => press(key)?.do)).toEqual(['unsure', 'skip', 'undo', 'new']);
    expect([press('ArrowLeft'), press('ArrowRight')]).toEqual([{ do: 'walk', by: -1 }, { do: 'walk', by: 1 }]);
  });
  it.each(['o', 't', 'f', 'l', 'Enter', 'Escape', ' ', 'ArrowUp', 'ArrowDown', 'F5'])('leaves %j to others', (key) => {
    expect(press(key)).toBeNull();
  });
  it.each(['ctrlKey', 'metaKey', 'altKey'])('leaves shortcuts of the browser alone: %s', (modifier) => {
    expect(press('1', { [modifier]: true })).toBeNull();
  });
  it('answers once while a key is held down, but walks on', () => {
    expect(['1', 'g', 'u', 's', 'z', 'n'].map((key) => press(key, { repeat: true }))).toEqual([null, null, null, null, null, null]);
    expect(press('ArrowRight', { repeat: true })).toEqual({ do: 'walk', by: 1 });
  });
  it('answers nothing that nobody can have seen yet', () => {
    expect(['1', 'g', 'u', 's'].map((key) => press(key, {}, BOUNCE_MS - 1))).toEqual([null, null, null, null]);
    expect(press('z', {}, 0)).toEqual({ do: 'undo' });
    expect(press('1', {}, BOUNCE_MS)).not.toBeNull();
  });
});

describe('names', () => {
  it('are what was typed, less the blanks that nobody sees', () => {
    expect([' Lötstelle  kalt ', 'edge_chip', '   '].map(nameOf)).toEqual(['Lötstelle kalt', 'edge_chip', '']);
  });
  it('have 1 to 64 characters, none of which the daemon refuses', () => {
    expect(['Grat (außen)', 'x'.repeat(64), '😀'.repeat(64)].map(nameTrouble)).toEqual([null, null, null]);
    expect(['a/b', 'a,b', 'a\u0007b', 'x'.repeat(65)].map((name) => nameTrouble(name) === null)).toEqual([false, false, false, false]);
  });
  it('that look the same are the same', () => {
    const some = [label('edge_chip'), label('Burr'), label('burr')];
    expect(['Edge chip', 'burr', 'BURR', 'edge', ''].map((name) => alike(name, some)?.name ?? null)).toEqual(['edge_chip', 'burr', 'Burr', null, null]);
  });
});
