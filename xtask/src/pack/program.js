// Uses a store of each kind that the published addon supports, as a host would. Prints when the first message is stored.
const { open } = require('nofx-node');

async function use(location) {
  const workspace = await open(location);
  const session = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
  await workspace.addMessage(session.id, { type: 'user', content: 'installed' });
  console.log('kept');
  await workspace.close();
  const again = await open(location);
  const [entry] = await again.history(session.id).all();
  await again.close();
  if (entry.message.content !== 'installed') {
    throw new Error(`${location} has not kept the message`);
  }
}

async function main() {
  await use('redb:kept.redb');
  await use('fs:kept');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
