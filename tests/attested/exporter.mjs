// Shakes hands in TLS 1.3 with Node's tls module and prints what the connection exports.
//
//   node exporter.mjs client 127.0.0.1:PORT FOLDER CONTEXT [cert] [tls12]
//   node exporter.mjs server - FOLDER CONTEXT [cert] [tls12]
//
// A server prints its port first. The exit status is 3 where the handshake fails.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';

const [mode, address, folder, hex, ...options] = process.argv.slice(2);
const context = Buffer.from(hex, 'hex');
const file = (name) => readFileSync(join(folder, name));
const version = options.includes('tls12') ? 'TLSv1.2' : 'TLSv1.3';
const shared = { minVersion: version, maxVersion: version, ca: file('ca.pem'), ALPNProtocols: ['http/1.1'] };
const failed = (error) => {
  console.error(error.message);
  process.exit(3);
};

setTimeout(() => failed(new Error('too slow')), 20_000).unref();

function show(socket) {
  const exported = {
    client: socket.exportKeyingMaterial(32, 'EXPORTER-libcloudauth-v1-client', context),
    server: socket.exportKeyingMaterial(32, 'EXPORTER-libcloudauth-v1-server', context),
    my_nonce: socket.exportKeyingMaterial(32, 'my_nonce'),
    testing_nonce: socket.exportKeyingMaterial(32, 'testing_nonce'),
  };
  for (const [name, octets] of Object.entries(exported)) console.log(`${name} ${octets.toString('hex')}`);
}

if (mode === 'client') {
  const own = options.includes('cert') ? { cert: file('client.pem'), key: file('client.key') } : {};
  const [host, port] = address.split(':');
  const socket = tls.connect({ ...shared, ...own, host, port: Number(port), servername: 'localhost' }, () => {
    show(socket);
    socket.end();
  });
  socket.on('error', failed);
} else {
  const certificate = options.includes('cert') ? { requestCert: true, rejectUnauthorized: true } : {};
  const server = tls.createServer(
    { ...shared, ...certificate, cert: file('server.pem'), key: file('server.key') },
    (socket) => {
      show(socket);
      socket.on('error', () => {});
      socket.on('close', () => process.exit(0));
      socket.resume();
    },
  );
  server.on('tlsClientError', failed);
  server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
}
