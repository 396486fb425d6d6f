/**
 * One listener at each signal, whatever number of sockets and writes it may stop: Node warns of a leak when there are more than ten.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `stop` when the signal aborts, at once if it has, unless the returned function is called before. */
export function onAbort(signal: AbortSignal, stop: () => void): () => void {
  if (signal.aborted) {
    stop();
    return () => undefined;
  }
  const stops = waiting.get(signal) ?? listen(signal);
  stops.add(stop);
  return () => {
    stops.delete(stop);
    if (stops.size > 0 || waiting.get(signal) !== stops) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', tellAll);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const stops = new Set<() => void>();
  waiting.set(signal, stops);
  signal.addEventListener('abort', tellAll);
  return stops;
}

function tellAll(this: AbortSignal): void {
  const stops = waiting.get(this);
  waiting.delete(this);
  this.removeEventListener('abort', tellAll);
  for (const stop of stops ?? []) stop();
}
