import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { toBytes } from '../../lib/codec/to-bytes.js';
import { FrameError } from '../../lib/errors.js';

describe('toBytes', () => {
  it('returns a Buffer itself, empty or not', () => {
    for (const message of [Buffer.from('abc'), Buffer.alloc(0), Buffer.from('abc').subarray(1, 2)]) {
      expect(toBytes(message, 'x')).to.equal(message);
    }
  });

  it('makes a Buffer over the memory of a Uint8Array, which it does not copy', () => {
    const memory = Uint8Array.of(1, 2, 3, 4);
    const bytes = toBytes(memory.subarray(1, 3), 'x');
    expect(Buffer.isBuffer(bytes)).to.equal(true);
    expect([...bytes]).to.eql([2, 3]);
    memory[1] = 9;
    expect([...bytes]).to.eql([9, 3]);
  });

  it('takes the Uint8Array of another realm by reference too', () => {
    const foreign = runInNewContext('globalThis.a = new Uint8Array([1, 2, 3])') as Uint8Array;
    expect(foreign instanceof Uint8Array).to.equal(false);
    const bytes = toBytes(foreign, 'x');
    foreign[0] = 7;
    expect([...bytes]).to.eql([7, 2, 3]);
  });

  it('copies memory that another thread can change', () => {
    const message = new Uint8Array(new SharedArrayBuffer(3));
    message[0] = 1;
    const bytes = toBytes(message, 'x');
    message[0] = 2;
    expect([...bytes]).to.eql([1, 0, 0]);
  });

  it('takes a Buffer as it is, whatever memory it stands on', () => {
    const message = Buffer.from(new SharedArrayBuffer(3));
    expect(toBytes(message, 'x')).to.equal(message);
  });

  it('copies memory that can shrink while the message waits', () => {
    const memory = new ArrayBuffer(3, { maxByteLength: 8 });
    const bytes = toBytes(new Uint8Array(memory).fill(5), 'x');
    memory.resize(0);
    expect([...bytes]).to.eql([5, 5, 5]);
  });

  it('writes a string as UTF-8', () => {
    expect(toBytes('a€😀\ufeff', 'x').toString('hex')).to.equal('61e282acf09f9880efbbbf');
    expect(toBytes('', 'x').length).to.equal(0);
  });

  it('refuses a lone surrogate, which would become U+FFFD', () => {
    for (const text of ['\ud83d', 'a\ude00', '\ude00\ud83d'])
      expectRefused(text, 'x got a string with a lone surrogate');
  });

  it('refuses everything else by the name of its type, and shows none of it', () => {
    const imitations = [new Proxy(Buffer.from('s3cret'), {}), Object.create(Uint8Array.prototype)] as unknown[];
    const others = [{ secret: 's3cret' }, new DataView(new ArrayBuffer(1)), new Uint16Array(1), new Blob(['s3cret'])];
    for (const message of [...imitations, ...others]) expectRefused(message, 'got object');
    expectRefused(null, 'got null');
    expectRefused(['s3cret'], 'got an array');
    expectRefused(5, 'got number');
    expectRefused(undefined, 'got undefined');
    expectRefused(Symbol('s3cret'), 'got symbol');
  });

  function expectRefused(message: unknown, text: string): void {
    expect(() => toBytes(message, 'x'))
      .to.throw(FrameError, text)
      .that.satisfies((error: FrameError) => error.kind === 'encode' && !error.message.includes('s3cret'));
  }
});
