/** A thermometer publishes, a house listens, and loses its connection: `npm run demo -- mqtt [host:port]`, with the broker that is there. */
import { randomUUID } from 'node:crypto';
import { filter, firstValueFrom, map, merge, share } from 'rxjs';
import { MqttClient } from './mqtt/client.js';

const ROOMS = ['kitchen', 'cellar', 'attic'] as const;

export async function run(print: (line: string) => void = console.log, where = 'localhost:1883'): Promise<void> {
  const { hostname: host, port } = new URL(`mqtt://${where}`);
  const connect = () => new MqttClient({ host, port: port === '' ? 1883 : port });
  const house = connect();
  const { connections, errors } = house.socket;
  const trouble = await firstValueFrom(merge(errors, connections.pipe(map(() => undefined))));
  if (trouble !== undefined) {
    house.socket.destroy();
    print(`There is no MQTT broker for us at ${where}: ${trouble.message}`);
    print('To start one:  mosquitto -p 1883');
    process.exitCode = 1;
    return;
  }

  const home = `rx-tcp/${randomUUID()}`; // topics that are nobody else's
  const readings = house.subscribe(`${home}/+`).pipe(
    filter(({ payload }) => payload.length > 0),
    map(({ topic, payload, retain }) => ({ room: topic.slice(home.length + 1), degrees: String(payload), retain })),
    share(),
  );
  readings.subscribe(({ room, degrees, retain }) => print(`< ${room} ${degrees}${retain ? ', which was kept' : ''}`));
  const heard = (wanted: string) => firstValueFrom(readings.pipe(filter(({ room }) => room === wanted)));

  const thermometer = connect();
  const measured = async (room: string, degrees: string): Promise<void> => {
    const arrives = heard(room);
    print(`> ${room} ${degrees}`);
    await thermometer.publish(`${home}/${room}`, degrees, { qos: 1, retain: true });
    await arrives;
  };
  await measured('kitchen', '21.5');
  await measured('cellar', '12.0');
  print('-- the house loses its connection');
  house.socket.redial();
  await measured('attic', '30.5'); // the broker keeps it until the house has subscribed anew

  for (const room of ROOMS) await thermometer.publish(`${home}/${room}`, '', { qos: 1, retain: true }); // keeps none
  await Promise.all([house.end(), thermometer.end()]);
  print(`${house.socket.stats().epoch} connections, one subscription`);
}
