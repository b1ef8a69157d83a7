// biome-ignore-all lint/style/noDefaultExport: the module has only a default export.
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici'
  export default Pool
}
