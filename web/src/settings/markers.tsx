// All markers of the last year, to be added, changed and removed.
import { useState } from "preact/hooks";
import { serverNow } from "../api";
import { AddMarker, MarkerList, useMarkers } from "../numbers/markers";
import { Failure } from "../ui";

const YEAR = 366 * 86_400_000;

export function Markers() {
  const [window] = useState(() => ({
    from: new Date(serverNow() - YEAR).toISOString(),
    to: new Date(serverNow() + YEAR).toISOString(),
  }));
  const { data, error, reload } = useMarkers(window);
  return (
    <>
      <p>
        <AddMarker onDone={reload} />
      </p>
      {error && !data && <Failure error={error} what="The markers could not be read." onRetry={reload} />}
      {data?.length === 0 && <p class="notice">None in the last year.</p>}
      {data && <MarkerList markers={[...data].sort((a, b) => b.time - a.time)} onDone={reload} />}
    </>
  );
}
