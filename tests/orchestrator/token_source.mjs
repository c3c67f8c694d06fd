// What a front end does: LiveKit's own TokenSource asks our token endpoint.
//
//   node token_source.mjs SDK_MODULE ENDPOINT_URL OPTIONS_JSON
//
// Prints what fetch() gives as JSON.
import { pathToFileURL } from 'node:url';

const [module, endpoint, options] = process.argv.slice(2);
const { TokenSource } = await import(pathToFileURL(module).href);
const given = await TokenSource.endpoint(endpoint).fetch(JSON.parse(options));
console.log(JSON.stringify(given));
