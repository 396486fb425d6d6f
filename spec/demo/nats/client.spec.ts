import { expect } from 'chai';
import { firstValueFrom, toArray } from 'rxjs';
import { natsClient } from '../../../demo/nats/client.js';
import type { NatsConfig } from '../../../demo/nats/socket.js';
import {
  ConnectError,
  ConnectionLostError,
  FrameError,
  OverflowError,
  RequestTimeoutError,
} from '../../../lib/index.js';
import { kept, leavesNothingOpen, outcome, turns } from '../../support/fixture.js';
import { recordingServer } from '../../support/servers.js';
import { tape } from '../../support/tape.js';
import { fakeNats, type FakeNats } from './fake-nats.js';

const host = '127.0.0.1';

function open({ port }: { port: number }, config: NatsConfig = {}) {
  const reconnect = { initialDelay: 1, maxDelay: 1 };
  const client = natsClient({ host, port, reconnect, settle: 0, ...config });
  kept(client.socket);
  return client;
}

/** What was said on the connection behind the greeting, once it ends like this. */
async function heard(server: FakeNats, index: number, last: string): Promise<string> {
  const recording = await server.recording(index);
  await recording.has(last);
  return recording.text.replace(/^CONNECT .*\r\nPING\r\nSUB _INBOX\.[-0-9a-f]{36}\.\* 0\r\n/, '');
}

/** Where the answer to the first request with this payload is awaited, on this connection. */
async function inboxOf(server: FakeNats, index: number, payload: string): Promise<string> {
  const text = await heard(server, index, `\r\n${payload}\r\n`);
  const [, reply = ''] = new RegExp(`PUB \\S+ (_INBOX\\.\\S+) \\d+\r\n${payload}\r\n`).exec(text) ?? [];
  return reply;
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const inInbox = (reply: string, payload: string) => `MSG ${reply} 0 ${payload.length}\r\n${payload}\r\n`;

describe('the NATS client', () => {
  leavesNothingOpen();

  describe('introduces itself', () => {
    it('and does not speak first', async () => {
      const server = await recordingServer();
      open(server);
      const recording = await server.recording(0);
      await turns();
      expect(recording.text).to.equal('');
      (await server.socket(0)).write('INFO {}\r\n');
      await recording.has('PING\r\n');
    });

    it('and has nothing else to say before it is let in', async () => {
      const server = await fakeNats(() => '');
      const client = open(server);
      client.subscribe('news').subscribe();
      const published = client.publish({ subject: 'a', payload: 'hi' });
      const recording = await server.recording(0);
      await recording.has('PING\r\n');
      await turns();
      expect(recording.text).to.match(/^CONNECT \{.*\}\r\nPING\r\n$/);
      await server.say(0, 'PONG\r\n');
      await published;
      expect(await heard(server, 0, 'hi\r\n')).to.match(/^SUB news 1\r\n(SUB news 1\r\n)?PUB a 2\r\nhi\r\n$/);
    });

    it('with its name, a login and what it can do', async () => {
      const server = await fakeNats();
      const client = open(server, { name: 'me', login: { user: 'ann', pass: 'a\r\n"b' } });
      await client.publish({ subject: 'a', payload: '' });
      const { text } = await server.recording(0);
      const [, json = ''] = /^CONNECT (.*)\r\n/.exec(text) ?? [];
      const login = { user: 'ann', pass: 'a\r\n"b' };
      expect(JSON.parse(json)).to.eql({ ...login, name: 'me', verbose: false, headers: true, no_responders: true });
    });

    it('and gives up for good where its login is refused', async () => {
      const server = await fakeNats(() => "-ERR 'Authorization Violation'\r\n");
      const client = open(server, { login: { auth_token: 'wrong' } });
      const frames = tape(client.socket.inbound);
      const refused = await outcome(client.publish({ subject: 'a', payload: '' }));
      await frames.end;
      expect(codeOf(refused)).to.equal('TCP_WRITE');
      const error = frames.error as ConnectError;
      expect(error).to.be.instanceOf(ConnectError);
      expect(error.cause).to.include({ code: 'NATS_REFUSED', message: "'Authorization Violation'" });
      expect(server.sockets).to.have.lengthOf(1);
    });

    it('again where it is refused for another reason', async () => {
      const full = "-ERR 'maximum connections exceeded'\r\n";
      const server = await fakeNats((index) => (index === 0 ? full : 'PONG\r\n'));
      const client = open(server);
      await client.publish({ subject: 'a', payload: 'hi' });
      expect(await heard(server, 1, 'hi\r\n')).to.equal('PUB a 2\r\nhi\r\n');
    });

    it('and answers a PING that comes before the PONG', async () => {
      const server = await fakeNats(() => 'PING\r\nPONG\r\n');
      open(server);
      expect(await heard(server, 0, 'PONG\r\n')).to.match(/PONG\r\n/);
    });

    it('and loses no message that comes with the PONG', async () => {
      const server = await fakeNats(() => 'PONG\r\nMSG news 1 2\r\nhi\r\n');
      const client = open(server);
      const message = await firstValueFrom(client.subscribe('news'));
      expect(String(message.payload)).to.equal('hi');
    });
  });

  describe('is alive', () => {
    it('and answers a PING past a queue that is full', async () => {
      const server = await fakeNats();
      const client = open(server, { writeBuffer: 1 });
      const rooms: number[] = [];
      client.subscribe('news').subscribe(() => {
        void client.publish({ subject: 'a', payload: '1' });
        rooms.push(client.socket.stats().queuedFrames);
      });
      await heard(server, 0, 'SUB news 1\r\n');
      await client.socket.flush();
      await server.say(0, 'MSG news 1 0\r\n\r\nPING\r\n');
      expect(await heard(server, 0, 'PONG\r\n')).to.include('PONG\r\n');
      expect(rooms).to.eql([1]);
    });

    it('and answers on the connection that was asked', async () => {
      const server = await fakeNats();
      const client = open(server);
      await firstValueFrom(client.socket.connections);
      (await server.socket(0)).resetAndDestroy();
      await heard(server, 1, '* 0\r\n');
      await server.say(1, 'PING\r\n');
      expect(await heard(server, 1, 'PONG\r\n')).to.equal('PONG\r\n');
    });

    it('and asks a silent server', async () => {
      const server = await fakeNats();
      open(server, { heartbeat: { interval: 5, timeout: 60_000, message: () => 'PING' } });
      expect(await heard(server, 0, '* 0\r\nPING\r\nPING\r\n')).to.match(/^(PING\r\n){2,}$/);
    });

    it('and tells what the server complains of', async () => {
      const server = await fakeNats();
      const client = open(server);
      const complaints = tape(client.complaints);
      await firstValueFrom(client.socket.connections);
      await server.say(0, '-ERR \'Permissions Violation for Subscription to "a"\'\r\nPING\r\n');
      await heard(server, 0, 'PONG\r\n');
      expect(complaints.values).to.eql(['\'Permissions Violation for Subscription to "a"\'']);
      expect(server.sockets).to.have.lengthOf(1);
    });
  });

  describe('subscribes', () => {
    it('for each subscriber by itself, and takes it back', async () => {
      const server = await fakeNats();
      const client = open(server);
      const news = client.subscribe('news.*', 'workers');
      await firstValueFrom(client.socket.connections);
      const [one, two] = [tape(news), tape(news)];
      await heard(server, 0, 'SUB news.* workers 2\r\n');
      await server.say(0, 'MSG news.a 1 1\r\na\r\nMSG news.b 2 1\r\nb\r\nMSG news.c 3 1\r\nc\r\n');
      await Promise.all([one.at(0), two.at(0)]);
      one.stop();
      expect(await heard(server, 0, 'UNSUB 1\r\n')).to.equal(
        'SUB news.* workers 1\r\nSUB news.* workers 2\r\nUNSUB 1\r\n',
      );
      await server.say(0, 'MSG news.d 1 1\r\nd\r\nMSG news.e 2 1\r\ne\r\n');
      await two.at(1);
      expect(one.values.map(({ subject }) => subject)).to.eql(['news.a']);
      expect(two.values.map(({ subject }) => subject)).to.eql(['news.b', 'news.e']);
    });

    it('again on the next connection, before anything that is queued is written', async () => {
      const server = await fakeNats();
      const client = open(server);
      await firstValueFrom(client.socket.connections);
      const [news, gone] = [tape(client.subscribe('news')), tape(client.subscribe('gone'))];
      tape(client.subscribe('jobs', 'workers'));
      gone.stop();
      await heard(server, 0, 'UNSUB 2\r\n');
      await server.say(0, 'MSG news 1 1\r\na\r\n');
      await news.at(0);
      (await server.socket(0)).resetAndDestroy();
      await firstValueFrom(client.socket.errors);
      await client.publish({ subject: 'a', payload: 'hi' });
      expect(await heard(server, 1, 'hi\r\n')).to.equal('SUB news 1\r\nSUB jobs workers 3\r\nPUB a 2\r\nhi\r\n');
      await server.say(1, 'MSG news 1 1\r\nb\r\n');
      await news.at(1);
      expect(news.values.map(({ payload }) => String(payload))).to.eql(['a', 'b']);
    });

    it('to no subject that is none, which would be in the way of every handshake', async () => {
      const server = await fakeNats();
      const client = open(server);
      for (const subject of ['a\r\nPUB b 0\r\n', 'a b', '']) {
        const frames = tape(client.subscribe(subject));
        expect(frames.error, JSON.stringify(subject)).to.be.instanceOf(FrameError);
      }
      expect(tape(client.subscribe('a', 'b c')).error).to.be.instanceOf(FrameError);
      await client.publish({ subject: 'a', payload: 'hi' });
      expect(await heard(server, 0, 'hi\r\n')).to.equal('PUB a 2\r\nhi\r\n');
    });

    it('with an error where there is no room to ask for it', async () => {
      const server = await fakeNats(() => '');
      const client = open(server, { writeBuffer: 1 });
      void client.publish({ subject: 'a', payload: '1' });
      const news = tape(client.subscribe('news'));
      await news.end;
      expect(news.error).to.be.instanceOf(OverflowError);
    });

    it('and takes it back where the queue is full, each of them', async () => {
      const server = await fakeNats();
      const client = open(server, { writeBuffer: 3 });
      const subscriptions = [];
      for (let sid = 1; sid <= 5; sid++) {
        subscriptions.push(client.subscribe('jobs', 'workers').subscribe());
        await client.socket.flush();
      }
      for (const payload of ['1', '2', '3']) void client.publish({ subject: 'a', payload });
      for (const subscription of subscriptions) subscription.unsubscribe();
      const text = await heard(server, 0, 'UNSUB 5\r\n');
      expect(text.match(/UNSUB \d/g)).to.eql([1, 2, 3, 4, 5].map((sid) => `UNSUB ${sid}`));
    });

    it('and does not take it back before it has asked for it', async () => {
      const server = await fakeNats();
      const client = open(server, { writeBuffer: 2 });
      await firstValueFrom(client.socket.connections);
      void client.publish({ subject: 'a', payload: 'x'.repeat(500_000) });
      await Promise.resolve(); // it is on its way, and what comes now waits behind it
      client.subscribe('news').subscribe().unsubscribe();
      const text = await heard(server, 0, 'UNSUB 1\r\n');
      expect(text.slice(text.indexOf('SUB'))).to.equal('SUB news 1\r\nUNSUB 1\r\n');
    });

    it('and takes it back where the queue drops the oldest', async () => {
      const server = await fakeNats();
      const client = open(server, { writeBuffer: 2, overflow: 'dropOldest' });
      await firstValueFrom(client.socket.connections);
      const news = client.subscribe('news').subscribe();
      await client.socket.flush();
      news.unsubscribe();
      for (const payload of ['1', '2', '3']) void client.publish({ subject: 'a', payload });
      await client.socket.flush();
      await client.publish({ subject: 'a', payload: 'end' });
      expect(await heard(server, 0, 'end\r\n')).to.match(/^SUB news 1\r\n[^]*UNSUB 1\r\n/);
    });

    it('until the socket ends', async () => {
      const server = await fakeNats();
      const client = open(server);
      const news = tape(client.subscribe('news'));
      await heard(server, 0, 'SUB news 1\r\n');
      await client.socket.end();
      expect(news.ended).to.equal('completed');
      expect(client.socket.stats()).to.include({ queuedFrames: 0 });
    });
  });

  describe('asks', () => {
    it('and gives each its answer, whatever their order', async () => {
      const server = await fakeNats();
      const client = open(server);
      const ask = (payload: string) => firstValueFrom(client.request({ subject: 'q', payload }));
      const answers = Promise.all([ask('one'), ask('two')]);
      const [one, two] = [await inboxOf(server, 0, 'one'), await inboxOf(server, 0, 'two')];
      expect(one).not.to.equal(two);
      await server.say(0, inInbox(two, 'second') + inInbox(one, 'first') + inInbox(one, 'again'));
      expect((await answers).map(({ payload }) => String(payload))).to.eql(['first', 'second']);
    });

    it('for several answers until the last', async () => {
      const server = await fakeNats();
      const client = open(server);
      const until = (frame: { op: string; payload?: Buffer }) => String(frame.payload) === 'end';
      const answers = firstValueFrom(client.request({ subject: 'q', payload: 'all' }, { until }).pipe(toArray()));
      const inbox = await inboxOf(server, 0, 'all');
      await server.say(0, ['one', 'two', 'end'].map((payload) => inInbox(inbox, payload)).join(''));
      expect((await answers).map(({ payload }) => String(payload))).to.eql(['one', 'two', 'end']);
    });

    it('and hears that nobody listens', async () => {
      const server = await fakeNats();
      const client = open(server);
      const asked = outcome(firstValueFrom(client.request({ subject: 'q', payload: 'hm' })));
      const inbox = await inboxOf(server, 0, 'hm');
      await server.say(0, `HMSG ${inbox} 0 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`);
      expect(codeOf(await asked)).to.equal('NATS_NO_RESPONDERS');
    });

    it('and waits no longer than it is to', async () => {
      const server = await fakeNats();
      const client = open(server);
      const asked = await outcome(firstValueFrom(client.request({ subject: 'q', payload: 'hm' }, { timeout: 20 })));
      expect(asked).to.be.instanceOf(RequestTimeoutError);
    });

    it('and hears of a connection that is lost with the question', async () => {
      const server = await fakeNats();
      const client = open(server);
      const asked = outcome(firstValueFrom(client.request({ subject: 'q', payload: 'hm' })));
      await inboxOf(server, 0, 'hm');
      (await server.socket(0)).resetAndDestroy();
      expect(await asked).to.be.instanceOf(ConnectionLostError);
    });

    it('again where it may, and takes no answer to the first question for that to the second', async () => {
      const server = await fakeNats();
      const client = open(server);
      const asked = firstValueFrom(client.request({ subject: 'q', payload: 'hm' }, { resend: 'always' }));
      const first = await inboxOf(server, 0, 'hm');
      (await server.socket(0)).resetAndDestroy();
      const second = await inboxOf(server, 1, 'hm');
      expect(second).not.to.equal(first);
      await server.say(1, inInbox(first, 'old') + inInbox(second, 'new'));
      expect(String((await asked).payload)).to.equal('new');
    });

    it('so that who knows where one answer is awaited cannot answer another question', async () => {
      const server = await fakeNats();
      const client = open(server);
      const ask = (payload: string) => firstValueFrom(client.request({ subject: payload, payload }));
      const answers = Promise.all([ask('weather'), ask('bank')]);
      const [known, other] = [await inboxOf(server, 0, 'weather'), await inboxOf(server, 0, 'bank')];
      const [, inbox = '', id = ''] = /^(.*\.)([^.]+)$/.exec(known) ?? [];
      const guesses = Array.from({ length: 21 }, (_, i) =>
        inInbox(`${inbox}${Number.parseInt(id) + i - 10}`, 'forged'),
      );
      const forged = guesses.filter((line) => !line.startsWith(`MSG ${known} `)).join('');
      await server.say(0, forged + inInbox(known, 'sunny') + inInbox(other, 'true'));
      expect((await answers).map(({ payload }) => String(payload))).to.eql(['sunny', 'true']);
      const random = /^_INBOX\.[-0-9a-f]{36}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
      for (const reply of [known, other]) expect(reply).to.match(random);
    });

    it('and ignores answers that are none', async () => {
      const server = await fakeNats();
      const client = open(server);
      const asked = firstValueFrom(client.request({ subject: 'q', payload: 'hm' }));
      const inbox = await inboxOf(server, 0, 'hm');
      const prefix = inbox.replace(/[^.]+$/, '');
      const others = ['__proto__', 'NaN', '', '-1', '1e400', '999999999'].map((id) => inInbox(`${prefix}${id}`, 'no'));
      await server.say(0, `${others.join('')}MSG ${inbox} 5 2\r\nno\r\n${inInbox(inbox, 'yes')}`);
      expect(String((await asked).payload)).to.equal('yes');
    });
  });

  describe('meets a bad peer', () => {
    it('and goes on behind a message whose headers are none', async () => {
      const server = await fakeNats();
      const client = open(server);
      const news = tape(client.subscribe('news'));
      await heard(server, 0, 'SUB news 1\r\n');
      await server.say(0, 'HMSG news 1 4 5\r\nabcdx\r\nMSG news 1 2\r\nhi\r\n');
      expect(String((await news.at(0)).payload)).to.equal('hi');
      expect(await firstValueFrom(client.socket.errors)).to.include({ code: 'TCP_FRAME', kind: 'corrupt' });
      expect(server.sockets).to.have.lengthOf(1);
    });

    for (const [what, wire, kind] of [
      ['a length below 0', 'MSG news 1 -2\r\n', 'corrupt'],
      ['a length of 2^53', 'MSG news 1 9007199254740992\r\n', 'too-large'],
      ['headers beyond their message', 'HMSG news 1 9 2\r\n', 'corrupt'],
      ['a payload without its CRLF', 'MSG news 1 2\r\nhello\r\n', 'corrupt'],
      ['MiBs without a line', 'x'.repeat(2 * 1024 * 1024), 'too-large'],
      ['another protocol', 'HTTP/1.1 400 Bad Request\r\n', 'corrupt'],
    ] as const) {
      it(`and leaves it for ${what}, and comes back`, async () => {
        const server = await fakeNats();
        const client = open(server);
        const news = tape(client.subscribe('news'));
        await heard(server, 0, 'SUB news 1\r\n');
        await server.say(0, wire);
        await heard(server, 1, 'SUB news 1\r\n');
        expect(await firstValueFrom(client.socket.errors)).to.include({ code: 'TCP_FRAME', kind });
        await server.say(1, 'MSG news 1 2\r\nhi\r\n');
        expect(String((await news.at(0)).payload)).to.equal('hi');
      });
    }
  });
});
