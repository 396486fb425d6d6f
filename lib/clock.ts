/** What time it is, in milliseconds that only go forward whatever the system's clock does; a test may put its own here. */
export const clock = { now: (): number => performance.now() };
