import { testContract } from './contract.ts'

testContract('local')
testContract('daemon')
