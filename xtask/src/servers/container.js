// Creates the container `nofx` in the azurite that listens on the given port.
// The account and its key are the well-known ones of every Azure emulator; they open nothing else.
const { createHmac } = require('node:crypto')
const account = 'devstoreaccount1'
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' }
const named = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('')
const signed = `PUT\n\n\n\n\n\n\n\n\n\n\n\n${named}/${account}/${account}/nofx\nrestype:container`
const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(signed, 'utf8').digest('base64')
headers.Authorization = `SharedKey ${account}:${signature}`
fetch(`http://127.0.0.1:${process.argv[2]}/${account}/nofx?restype=container`, { method: 'PUT', headers }).then(async answer => {
  if (answer.status !== 201) {
    console.error(answer.status, await answer.text())
    process.exit(1)
  }
})
