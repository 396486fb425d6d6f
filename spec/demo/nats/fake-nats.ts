import { listen, record, type Recording, type TestServer } from '../../support/servers.js';

/** A server that says what a spec tells it to. It lets everybody in, unless its handler does otherwise. */
export interface FakeNats extends TestServer {
  /** What the client has said on this connection. */
  recording(index: number): Promise<Recording>;
  /** Says this on it. */
  say(index: number, text: string): Promise<void>;
}

/** How it meets the connection of this index: it says INFO, and answers CONNECT and PING with this. */
export type Welcome = (index: number) => string;

export async function fakeNats(welcome: Welcome = () => 'PONG\r\n'): Promise<FakeNats> {
  const recordings: Recording[] = [];
  const server = await listen((socket, index) => {
    const recording = record(socket);
    recordings.push(recording);
    socket.write('INFO {"server_id":"fake","max_payload":1048576} \r\n');
    void recording.has('PING\r\n').then(
      () => socket.write(welcome(index)),
      () => undefined, // it is gone
    );
  });
  const recording = async (index: number): Promise<Recording> => {
    await server.socket(index);
    const found = recordings[index];
    if (found === undefined) throw new Error(`connection ${index} is not recorded`);
    return found;
  };
  const say = async (index: number, text: string): Promise<void> => {
    (await server.socket(index)).write(text, 'latin1');
  };
  return { ...server, recording, say };
}
