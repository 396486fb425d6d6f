import { inspect } from 'node:util';
import { expect } from 'chai';
import { isRetryable } from '../../lib/connection/retryable.js';
import { ConnectError, TcpError } from '../../lib/index.js';
import { ProxyError } from '../../lib/proxy.js';
import { httpRefusal } from '../../lib/proxy/http-refusal.js';
import { brokenBy } from '../../lib/proxy/proxy-error.js';
import { socksRefusal } from '../../lib/proxy/socks-refusal.js';

describe('ProxyError', () => {
  it('is an Error with a name, beside the family of the sockets', () => {
    const error = new ProxyError('ECONNREFUSED', 'target', { reply: 5 });
    expect(error).to.be.instanceOf(Error).and.not.instanceOf(TcpError);
    expect(String(error)).to.equal('ProxyError: the proxy could not reach the target (ECONNREFUSED)');
    expect(JSON.parse(JSON.stringify(error))).to.eql({ code: 'ECONNREFUSED', origin: 'target', reply: 5 });
  });

  it('is told by the ConnectError whose cause it is', () => {
    const error = new ConnectError('connect', { cause: new ProxyError('ERR_PROXY_AUTH', 'proxy') });
    expect(error.message).to.contain('(ERR_PROXY_AUTH)');
    expect(inspect(error)).to.contain('ProxyError');
  });

  it('keeps what the system said, and nothing that a peer did', () => {
    const system = Object.assign(new Error('connect'), { code: 'ECONNREFUSED', errno: -111, syscall: 'connect' });
    expect(brokenBy(system)).to.include({ code: 'ECONNREFUSED', cause: system });
    const both = new AggregateError([system, system]);
    expect(brokenBy(both)).to.include({ code: 'ECONNREFUSED', cause: both });
    const parser = Object.assign(new Error('peer-text'), { code: 'HPE_INVALID', rawPacket: Buffer.from('peer-text') });
    const [parsed, thrown] = [brokenBy(parser), brokenBy('peer-text')];
    expect([parsed.code, thrown.code]).to.eql(['HPE_INVALID', 'ECONNRESET']);
    expect([parsed.cause, thrown.cause]).to.eql([undefined, undefined]);
    expect(inspect([parsed, thrown], { showHidden: true })).not.to.contain('peer-text');
  });

  it('is dialled again after where it may pass, and not where it cannot', () => {
    const again = (error: ProxyError): boolean => isRetryable(new ConnectError('connect', { cause: error }));
    const answers = [407, 403, 405, 501, 302, 500, 502, 503, 504].map((status) => [status, again(httpRefusal(status))]);
    expect(answers.filter(([, retried]) => retried).map(([status]) => status)).to.eql([500, 502, 503, 504]);
    const replies = [1, 2, 3, 4, 5, 6, 7, 8].map((reply) =>
      again(socksRefusal(5, { asked: 2, question: 5, reply: [5, reply, 0, 1, 0] })),
    );
    expect(replies).to.eql([true, false, true, true, true, true, false, false]);
  });

  it('says that time is up when the client of `socks` gave up in the middle of a reply', () => {
    for (const reply of [[], [5]]) {
      const error = socksRefusal(5, { asked: 1, question: 5, reply });
      expect(error).to.include({ code: 'ETIMEDOUT', origin: 'proxy', reply: undefined });
    }
  });
});
