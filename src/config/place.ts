import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** What of the process decides where files lie; given, so that tests need no real home. */
export interface Place {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly cwd: string
  readonly isRoot: boolean
}

/** The place of this process. */
export function processPlace(): Place {
  return {
    env: process.env,
    home: homedir(),
    cwd: process.cwd(),
    isRoot: process.geteuid?.() === 0,
  }
}

/** The system's config, for root and for the service. */
export const SYSTEM_CONFIG = '/etc/ccgate/config.yaml'
const SYSTEM_DATABASE = '/var/lib/ccgate/ccgate.db'

/** A config file that was named (and must exist), or found, or null. */
export interface ConfigFile {
  readonly file: string | null
  readonly named: boolean
}

/** First hit of: option, `CCGATE_CONFIG`, the user's folder, `/etc`. Never the current folder. */
export function findConfigFile(place: Place, option: string | null): ConfigFile {
  const named = option ?? (place.env.CCGATE_CONFIG || null)
  if (named !== null) return { file: resolve(place.cwd, named), named: true }
  for (const file of [userConfigFile(place), SYSTEM_CONFIG]) {
    if (existsSync(file)) return { file, named: false }
  }
  return { file: null, named: false }
}

/** Where `ccgate init` writes a config when nobody says otherwise. */
export function defaultConfigFile(place: Place): string {
  return place.isRoot ? SYSTEM_CONFIG : userConfigFile(place)
}

/** `store.path: auto`: the system's place for root and for the system's config, else the user's. */
export function defaultDatabaseFile(place: Place, configFile: string | null): string {
  if (place.isRoot || configFile === SYSTEM_CONFIG) return SYSTEM_DATABASE
  return join(place.env.XDG_DATA_HOME || join(place.home, '.local', 'share'), 'ccgate', 'ccgate.db')
}

function userConfigFile(place: Place): string {
  return join(place.env.XDG_CONFIG_HOME || join(place.home, '.config'), 'ccgate', 'config.yaml')
}
