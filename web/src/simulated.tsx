// Data of the fleet simulator is marked wherever it shows: nobody takes a demo for a plant.
import { api } from "./api";
import { count } from "./format";
import { RARELY, useLoad, useWorkspace } from "./state";
import type { Window } from "./numbers/load";

export const simulatedDevice = (device: string | null): boolean => device?.startsWith("sim-") === true;

export const simulated = (r: { source: string | null; device: string | null }): boolean =>
  r.source === "simulated" || simulatedDevice(r.device);

export function Simulated({ what = "From the fleet simulator, not from a real camera" }: { what?: string }) {
  return (
    <abbr class="badge" title={what}>
      simulated
    </abbr>
  );
}

// A partial record is the aggregator's: its source is not the simulator's own, its device is.
const MARKED = "source:simulated or device:sim-*";

// One mark for a page of sums, where any of what is summed is simulated.
export function AnySimulated({
  window,
  filter,
}: {
  window: { [end in keyof Window]: string | null } | null;
  filter: string;
}) {
  const ws = useWorkspace();
  const { data } = useLoad(
    window && `simulated ${ws} ${filter} ${window.from?.slice(0, 15)} ${window.to?.slice(0, 15)}`,
    signal => api.count(ws, { ...window!, filter: filter ? `(${filter}) (${MARKED})` : MARKED }, signal),
    RARELY,
  );
  if (!data) return null;
  const some = `${count(data)} of these inferences are from the fleet simulator`;
  return <Simulated what={`${some}; -source:simulated -device:sim-* leaves them out`} />;
}
