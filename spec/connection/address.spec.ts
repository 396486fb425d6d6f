import * as net from 'node:net';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { checkAddress } from '../../lib/connection/address.js';

interface Addresses {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number;
  readonly localAddress?: string;
  readonly localPort?: number;
}

/** A net.Socket that says it stands between these. */
function between(addresses: Addresses): net.Socket & { resets: number } {
  const socket = Object.assign(new net.Socket(), { resets: 0 });
  for (const [name, value] of Object.entries(addresses)) Object.defineProperty(socket, name, { value });
  socket.resetAndDestroy = () => {
    socket.resets++;
    return socket;
  };
  return socket;
}

const remote = (remoteAddress: string | undefined): net.Socket =>
  between({ remoteAddress, remotePort: 80, localAddress: '10.0.0.1', localPort: 5000 });

/** What the hook is asked about this address, once. */
function askedOf(remoteAddress: string): string {
  const asked: string[] = [];
  expect(checkAddress(remote(remoteAddress), (address) => asked.push(address) > 0)).to.be.undefined;
  expect(asked).to.have.length(1);
  return asked[0]!;
}

describe('checkAddress', () => {
  it('has nothing against any address without a hook', () => {
    for (const address of ['127.0.0.1', '169.254.169.254', '::1'])
      expect(checkAddress(remote(address), undefined)).to.be.undefined;
  });

  it('asks the hook for the address that was reached', () => {
    for (const address of ['93.184.216.34', '::1', 'fe80::1%eth0', '2001:db8::7f00:1'])
      expect(askedOf(address)).to.equal(address);
  });

  it('asks for an IPv4 address in the clothes of an IPv6 one as what it is', () => {
    expect(askedOf('::ffff:127.0.0.1')).to.equal('127.0.0.1');
    expect(askedOf('::FFFF:10.1.2.3')).to.equal('10.1.2.3');
  });

  it('takes `true` alone for a yes', () => {
    for (const answer of [false, undefined, null, 0, 1, 'yes', {}, Promise.resolve(true)]) {
      const refused = checkAddress(remote('127.0.0.1'), () => answer as boolean);
      expect(refused, typeof answer)
        .to.be.an('error')
        .with.property('message', '`allowAddress` refused the address');
    }
  });

  it('takes what the hook throws for a no', () => {
    const mine = new Error('mine');
    const throwing = (thrown: unknown) => (): never => {
      throw thrown;
    };
    expect(checkAddress(remote('127.0.0.1'), throwing(mine))).to.equal(mine);
    for (const thrown of [undefined, 'mine'])
      expect(checkAddress(remote('127.0.0.1'), throwing(thrown))).to.be.an('error').with.property('message', '`allowAddress` threw'); // prettier-ignore
  });

  it('names no address in its words, for those are logged', () => {
    expect(checkAddress(remote('10.1.2.3'), () => false)?.message).not.to.contain('10.1');
  });

  it('asks nobody about what is at no address: a unix socket, or no socket at all', () => {
    const asked: string[] = [];
    const hook = (address: string): boolean => asked.push(address) < 0;
    expect(checkAddress(remote(undefined), hook)).to.be.undefined;
    expect(checkAddress(new PassThrough(), hook)).to.be.undefined;
    expect(asked).to.eql([]);
  });

  it('refuses, resets and asks nobody about a socket that is connected to itself [S8]', () => {
    const itself = { localAddress: '::1', remoteAddress: '::1', localPort: 5000, remotePort: 5000 };
    const socket = between(itself);
    const refused = checkAddress(socket, () => expect.fail('asked'));
    expect(refused).to.include({ code: 'ECONNREFUSED', syscall: 'connect' });
    expect(socket.resets).to.equal(1);
    for (const other of [{ remotePort: 5001 }, { remoteAddress: '::2' }]) {
      const good = between({ ...itself, ...other });
      expect(checkAddress(good, undefined)).to.be.undefined;
      expect(good.resets).to.equal(0);
    }
  });

  it('does not take a socket without ports for one that is connected to itself', () => {
    expect(checkAddress(new net.Socket(), undefined)).to.be.undefined;
  });
});
