import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { exchange, whenAllExist } from './processes.ts';

/** What an AMQP 0-9-1 client says first. */
const PROTOCOL_HEADER = 'AMQP\x00\x00\x09\x01';

/** RabbitMQ, a node of its own with a port mapper of its own. Its user may do anything in its virtual host `/`. */
export const rabbitmq: ServerDefinition = {
  variable: 'RABBITMQ_URL',
  packages: ['rabbitmq-server'],
  answers: async (address) => await exchange(address, PROTOCOL_HEADER, 'PLAIN'),
  // The binary itself: Debian's wrapper becomes another user.
  locate: async () => whenAllExist(['/usr/lib/rabbitmq/bin/rabbitmq-server', 'erl']),
  forApplication: async () => ({}),

  async prepare({ folder, binary, freePort, spawn }) {
    const [port, distributionPort, mapperPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const password = randomBytes(12).toString('hex');
    const configuration = path.join(folder, 'rabbitmq.conf');
    writeFileSync(configuration, `default_user = underpin\ndefault_pass = ${password}\n`);
    writeFileSync(path.join(folder, 'enabled_plugins'), '[].\n');
    spawn('epmd', ['-address', '127.0.0.1', '-port', String(mapperPort)]);
    const env = {
      HOME: folder,
      ERL_EPMD_PORT: String(mapperPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `underpin${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_BASE: folder,
      RABBITMQ_MNESIA_BASE: path.join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: path.join(folder, 'log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: path.join(folder, 'enabled_plugins'),
      RABBITMQ_CONFIG_FILE: configuration,
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_PID_FILE: path.join(folder, 'pid'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    };
    const address = `amqp://underpin:${password}@127.0.0.1:${port}`;
    return {
      address,
      launch() {
        spawn(binary, [], { env });
      },
      isReady: async () => await exchange(address, PROTOCOL_HEADER, 'PLAIN'),
    };
  },
};
