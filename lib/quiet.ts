/** The same promise, which its caller may ignore: a rejection that nobody handles is no crash. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
