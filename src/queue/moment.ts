/** The last moment that a Date can hold. */
const lastMoment = 8.64e15;

/** The whole millisecond, no earlier than asked, that is so many after `now`: engines keep times as integers. */
export function momentAfter(now: number, milliseconds: number): number {
  return Math.min(Math.ceil(now + milliseconds), lastMoment);
}
