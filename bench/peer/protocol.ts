/** What the peer process is asked to do. A listener is known by its port. */
export type Request =
  /** Opens a listener; answers its port. */
  | { readonly ask: 'serve'; readonly behaviour: Behaviour }
  /** Answers the bytes that a listener has received, once it has had so many connections and all are over. */
  | { readonly ask: 'received'; readonly port: number; readonly connections: number }
  /** Answers the bytes that a listener has received, once there are any. */
  | { readonly ask: 'begun'; readonly port: number }
  /** Resets all connections of a listener that are open. */
  | { readonly ask: 'reset'; readonly port: number }
  /** Resets them and stops listening. */
  | { readonly ask: 'close'; readonly port: number };

/** How a listener treats its connections, and the certificate that it shows them, if it speaks TLS. */
export type Behaviour = Treatment & { readonly tls?: { readonly key: string; readonly cert: string } };

/** How a listener treats its connections. */
type Treatment =
  /** Reads and counts; with `dropEvery` it resets all of them every so many milliseconds. */
  | { readonly kind: 'sink'; readonly dropEvery?: number }
  /** Sends `unit` (base64) `repeat` times, as fast as it is read, then FIN. */
  | { readonly kind: 'source'; readonly unit: string; readonly repeat: number }
  /** Sends back what it gets. */
  | { readonly kind: 'echo' };

/** A request with its number, and the answer with the same. */
export interface Envelope<T> {
  readonly id: number;
  readonly body: T;
}
