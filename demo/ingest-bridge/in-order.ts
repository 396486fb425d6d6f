/** Tells how far work is done, when it may be done in any order: the newest that is done and has nothing undone before it. */
export function inOrder(tell: (newest: number) => void): (number: number) => () => void {
  const begun: { readonly number: number; done: boolean }[] = [];
  return (number) => {
    const work = { number, done: false };
    begun.push(work);
    return () => {
      work.done = true;
      const undone = begun.findIndex(({ done }) => !done);
      const newest = begun.splice(0, undone < 0 ? begun.length : undone).at(-1);
      if (newest !== undefined) tell(newest.number);
    };
  };
}
