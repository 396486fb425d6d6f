import { expect } from 'chai';
import type { Codec } from '../../lib/codec/codec.js';
import { FrameError, type FrameErrorKind } from '../../lib/errors.js';
import { type ChunkingsConfig, chunkings } from '../support/chunkings.js';

/** All that comes of a wire. */
export interface Outcome {
  /** What `next` gave, in order. */
  readonly frames: unknown[];
  /** The kinds of what went to `report`, each with the number of frames before it. */
  readonly reported: { kind: FrameErrorKind; after: number }[];
  /** The kind of what `next` or `end` threw. */
  readonly error: FrameErrorKind | undefined;
}

/**
 * How a driver treats a decoder: it drains after each chunk, or lets chunks pile up, or takes one frame between chunks.
 * The contract allows all three, and the outcome must not depend on it.
 */
export const drivers = ['drains', 'piles up', 'takes one frame a chunk'] as const;

/** One of these, or how many frames it takes at most after each chunk; it drains after the rest. */
export type Driver = (typeof drivers)[number] | readonly number[];

/** Drives one decoder over the chunks up to the end of the stream, or to the first error. */
export function outcomeOf<In>(codec: Codec<In, never>, chunks: readonly Buffer[], driver: Driver = 'drains'): Outcome {
  const frames: In[] = [];
  const reported: Outcome['reported'] = [];
  const decoder = codec.decoder(({ kind }) => reported.push({ kind, after: frames.length }));
  const take = (most: number): void => {
    for (let taken = 0; taken < most; taken++) {
      const frame = decoder.next();
      if (frame === undefined) return;
      frames.push(frame);
    }
  };
  try {
    for (const [i, chunk] of chunks.entries()) {
      decoder.push(chunk);
      take(mostAfter(driver, i));
    }
    take(Infinity);
    decoder.end();
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    expectNothingMore(decoder, error);
    return { frames, reported, error: error.kind };
  }
  return { frames, reported, error: undefined };
}

function mostAfter(driver: Driver, chunk: number): number {
  if (typeof driver !== 'string') return driver[chunk] ?? Infinity;
  return driver === 'drains' ? Infinity : driver === 'piles up' ? 0 : 1;
}

/** What a wire must come to. */
export interface Expected {
  readonly frames: readonly unknown[];
  readonly reported?: Outcome['reported'];
  readonly error?: FrameErrorKind;
}

/** Asserts that a wire has one outcome, however it is cut and driven. */
export function expectOutcome(
  codec: Codec<unknown, never>,
  wire: Uint8Array,
  { frames, reported = [], error }: Expected,
  config?: ChunkingsConfig,
): void {
  for (const { name, chunks } of chunkings(wire, config)) {
    for (const driver of drivers) {
      expect(outcomeOf(codec, chunks, driver), `cut ${name}, by a driver that ${driver}`).to.eql({
        frames,
        reported,
        error,
      });
    }
  }
}

/** After an error nothing is decoded out of step, and nothing is reported twice. */
function expectNothingMore(decoder: ReturnType<Codec<unknown, never>['decoder']>, error: FrameError): void {
  if (error.kind === 'truncated') return;
  decoder.push(Buffer.from('more\n\0\0\0\x01x'));
  expect(decoder.next(), 'a frame after the error').to.equal(undefined);
  expect(() => {
    decoder.end();
  }).not.to.throw();
}
