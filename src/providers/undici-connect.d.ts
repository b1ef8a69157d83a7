// biome-ignore-all lint/style/noDefaultExport: the module has only a default export.
declare module 'undici/lib/core/connect.js' {
  import { buildConnector } from 'undici'
  export default buildConnector
}
