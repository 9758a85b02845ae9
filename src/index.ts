export {
  defineInfrastructure,
  type Infrastructure,
  type InfrastructureContext,
  type RunningControls,
  type RunningInfrastructure,
  type StartOptions,
  type StopOptions,
} from './core/index.ts';
export { infrastructureFromEnv, type StandardComponents } from './infrastructure-from-env.ts';
