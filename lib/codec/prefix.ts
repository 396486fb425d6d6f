import type { FrameError } from '../errors.js';

/** Answers of {@link Prefix.read}: bytes are missing. */
export const UNFINISHED = -1;
/** That no good header begins so. An answer and no exception: to be ready for one slows down every good frame. */
export const UNSOUND = -2;

/** How the frames of one codec say their length: a header, the body, and for some a byte that closes it. */
export interface Prefix {
  /** The codec, for its errors: `netstrings()`. */
  readonly what: string;
  /** The longest body that can be written, in bytes. */
  readonly most: number;
  /** The fewest bytes that a header has. */
  readonly least: number;
  /** The byte behind the body, if there is one. */
  readonly terminator?: number;
  /** How many bytes the header for a body of this length has. There is one header for a length, so what was read tells where the body begins. */
  width(body: number): number;
  /** The length of the body that the header at `at` announces; `UNFINISHED` if the header goes on behind `end`, `UNSOUND` if it must not be. */
  read(bytes: Buffer, at: number, end: number): number;
  /** What is wrong with the header at `at`, which is unsound. */
  fault(bytes: Buffer, at: number, end: number): FrameError;
  /** Writes the header for a body of this length to `bytes`, from `at` on; throws a `FrameError` if there is none. */
  write(bytes: Buffer, at: number, body: number): void;
}
