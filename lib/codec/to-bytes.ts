import { FrameError } from '../errors.js';

/**
 * Makes bytes of a message that a caller gave, for every codec that writes bytes.
 *
 * A Buffer is returned as it is, whatever memory it stands on, because asking for that costs more than all the rest (57 of 530 ns a
 * message); a Uint8Array becomes a Buffer over the same memory, uncopied unless another thread can change that (SharedArrayBuffer)
 * or it can shrink while the message waits (a resizable ArrayBuffer).
 * A string becomes UTF-8. Anything else, and a string with a lone surrogate, which UTF-8 cannot carry, is a `FrameError`
 * of kind `encode`. `what` names the codec in it.
 */
export function toBytes(message: unknown, what: string): Buffer {
  if (typeof message === 'string') {
    if (message.isWellFormed()) return Buffer.from(message, 'utf8');
    throw new FrameError('encode', `${what} got a string with a lone surrogate, which UTF-8 cannot carry`);
  }
  // By brand, since a Proxy is no bytes, and by constructor, which costs 2 ns where Buffer.isBuffer costs 27.
  if (ArrayBuffer.isView(message) && message.constructor === Buffer) return message as Buffer;
  if (!isUint8Array(message)) throw new FrameError('encode', `${what} takes bytes or a string, got ${typeOf(message)}`);
  if (!isOurs(message.buffer)) return Buffer.from(message);
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
}

/** By brand, not by prototype: it holds across realms, and refuses a Proxy and what merely inherits from a typed array. */
function isUint8Array(message: unknown): message is Uint8Array {
  if (!ArrayBuffer.isView(message)) return false;
  return message instanceof Uint8Array || tagOf(message) === '[object Uint8Array]';
}

/** Whether the memory stays as it is while nobody of this thread writes to it. */
function isOurs(memory: ArrayBufferLike): memory is ArrayBuffer {
  if (!(memory instanceof ArrayBuffer) && tagOf(memory) !== '[object ArrayBuffer]') return false;
  return !(memory as ArrayBuffer).resizable;
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value);
}

function typeOf(message: unknown): string {
  if (message === null) return 'null';
  return Array.isArray(message) ? 'an array' : typeof message;
}
