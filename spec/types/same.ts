/**
 * For the specs about types, which `tsc --noEmit` runs: what must be refused stands under `@ts-expect-error` with its reason, and what a
 * type must be exactly is said with `is<Same<A, B>>()`. None of these files is ever executed.
 */

/** `true` if the two types are the very same, `any` and `readonly` included. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only for `true`. */
export declare function is<_Holds extends true>(): void;

/** A value of any type, for the compiler. */
export declare function a<T>(): T;
