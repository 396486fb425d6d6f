/** Runs one demo: `npm run demo`, or `npm run demo -- reconnect`. */
const DEMOS = new Map([
  ['echo', 'a server that hangs up after each reply, and a socket that comes back'],
  ['reconnect', 'a server that dies three times while messages are written to it'],
  ['lines', 'a chat room: one server, three clients, a line of text per message'],
  ['failover', 'two servers that are killed in turn, and a socket that knows both'],
  ['tls', 'an echo through TLS, a session that is resumed, and an authority that nobody knows'],
  ['starttls', 'a mail server and its client, which go from plain lines to TLS'],
  ['proxy', 'a TCP proxy that loses nothing, under a slow reader and through a reset'],
  ['reactive-app', 'three readers and a writer on one socket, live, while its server fails'],
  ['redis', 'a Redis client: commands, a transaction, messages, and a connection that is cut'],
  ['nats', 'a NATS client: subjects, queue groups, requests, and a connection that is cut'],
  ['mqtt', 'an MQTT client: QoS 1, topics, and a connection that is cut'],
  ['ingest-bridge', 'many sources, two bridges to NATS JetStream, one of which is killed'],
]);

interface Demo {
  readonly run: (print?: (line: string) => void, ...args: readonly string[]) => Promise<void>;
}

const [name = 'echo', ...args] = process.argv.slice(2);
if (DEMOS.has(name)) {
  const { run } = (await import(`./${name}.js`)) as Demo;
  await run(console.log, ...args);
} else {
  console.log(`There is no demo "${name}". There are:`);
  for (const [known, shows] of DEMOS) console.log(`  ${known.padEnd(13)} ${shows}`);
  process.exitCode = 1;
}
