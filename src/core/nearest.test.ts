import { describe, expect, it } from 'vitest';

import { nearestName } from './nearest.ts';

describe('core › nearest name', () => {
  const names = ['0001-create-articles', '0002-add-subtitle', 'status', 'up', 'down'];

  it.for([
    ['stauts', 'status'],
    ['Down', 'down'],
    ['u', 'up'],
    ['0001-create-article', '0001-create-articles'],
    ['subtitle', '0002-add-subtitle'],
  ])('of %s is %s', ([wrong = '', expected]) => {
    expect(nearestName(wrong, names)).toBe(expected);
  });

  it.for(['rollback', '', '0009-drop-everything-there-is'])('of "%s" is none', (wrong) => {
    expect(nearestName(wrong, names)).toBeUndefined();
  });
});
