import { FrameError } from '../errors.js';
import { textEncoding } from './text-encoding.js';

const UTF8 = textEncoding('utf8', false);

/** The most bytes that a text can come to as UTF-8; the very number if it is long. */
export function roomForText(text: string): number {
  return UTF8.room(text);
}

/**
 * Writes a message that is a text to `bytes`, where there is room from `at` on, and returns where it ends. A lone surrogate, which UTF-8
 * cannot carry, is a `FrameError` of kind `encode`; `what` names the codec in it.
 */
export function writeText(text: string, bytes: Buffer, at: number, what: string): number {
  const end = UTF8.write(text, bytes, at);
  if (end >= 0) return end;
  throw new FrameError('encode', `${what} got a string with a lone surrogate, which UTF-8 cannot carry`);
}
