/** A rule of the newspaper that an input breaks. Its message is for the person who gave the input. */
export class BrokenRule extends Error {
  override readonly name: string = 'BrokenRule';
  /** The part of the input that is wrong, such as `title`. */
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}
