import { firstValueFrom, type Observable } from 'rxjs';
import {
  correlated,
  pipelined,
  type CorrelatedConfig,
  type PipelinedConfig,
  type RequestConfig,
  type RequestId,
  type RequestOptions,
  type Requests,
  type RequestStats,
  type Resend,
  type TcpSocket,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

interface Frame {
  readonly id?: number;
  readonly text: string;
}

interface Command {
  readonly id: RequestId;
  readonly verb: string;
}

// ---- in order: what is asked is what the socket writes, what is answered is what it reads

const lines = a<TcpSocket<string, Buffer>>();
const inOrder = pipelined(lines);
is<Same<typeof inOrder, Requests<string, Buffer>>>();
is<Same<ReturnType<typeof inOrder.request>, Observable<string>>>();
is<Same<typeof inOrder.unsolicited, Observable<string>>>();
is<Same<ReturnType<typeof inOrder.stats>, RequestStats>>();
inOrder.request(Buffer.from('a'), {
  timeout: 5,
  resend: 'always',
  retryLimit: 1,
  maxReplies: 2,
  until: (reply) => reply === 'end',
});
const answered = firstValueFrom(inOrder.request(Buffer.from('a')));
is<Same<typeof answered, Promise<string>>>();
pipelined(lines, {
  inFlight: 5,
  waiting: 0,
  unsolicited: (frame) => {
    is<Same<typeof frame, string>>();
    return frame.startsWith('*');
  },
});
// @ts-expect-error the socket writes buffers
inOrder.request('a');
// @ts-expect-error the replies are strings
inOrder.request(Buffer.from('a'), { until: (reply: number) => reply > 0 });
// @ts-expect-error nobody knows that word
inOrder.request(Buffer.from('a'), { resend: 'sometimes' });
// @ts-expect-error that is for all requests
inOrder.request(Buffer.from('a'), { inFlight: 5 });
// @ts-expect-error that is for the other
pipelined(lines, { idOf: () => 1 });
// @ts-expect-error no socket
pipelined({});

// ---- by id: what is asked is what `assign` takes

const frames = a<TcpSocket<Frame, Command>>();
const byId = correlated(frames, { assign: (verb: string, id) => ({ id, verb }), idOf: (frame) => frame.id });
is<Same<typeof byId, Requests<Frame, string>>>();
is<Same<ReturnType<typeof byId.request>, Observable<Frame>>>();
correlated(frames, {
  assign: (message: { readonly n: number }, id) => {
    is<Same<typeof id, RequestId>>();
    return { id, verb: String(message.n) };
  },
  idOf: (frame) => {
    is<Same<typeof frame, Frame>>();
    return frame.id;
  },
  nextId: () => 5n,
}).request({ n: 1 });
// @ts-expect-error `assign` takes a string
byId.request(5);
// @ts-expect-error it makes no command
correlated(frames, { assign: (verb: string) => verb, idOf: (frame) => frame.id });
// @ts-expect-error without it no reply is found
correlated(frames, { assign: (verb: string, id) => ({ id, verb }) });
// @ts-expect-error an object is no id
correlated(frames, { assign: (verb: string, id) => ({ id, verb }), idOf: (frame) => frame });
// @ts-expect-error it cannot do without options
correlated(frames);

// ---- the parts

is<Same<RequestId, string | number | bigint>>();
is<Same<Resend, 'never' | 'unsent' | 'always'>>();
is<Same<RequestOptions<Frame>['until'], ((reply: Frame) => boolean) | undefined>>();
is<Same<PipelinedConfig<Frame>['unsolicited'], ((frame: Frame) => boolean) | undefined>>();
is<Same<CorrelatedConfig<Frame, Command, string>['nextId'], (() => RequestId) | undefined>>();
const all: RequestConfig<Frame> = a<RequestOptions<Frame>>();
all satisfies PipelinedConfig<Frame>;
// @ts-expect-error a snapshot
inOrder.stats().requests = 5;
// @ts-expect-error it is given once
inOrder.unsolicited = all as never;
