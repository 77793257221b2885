// Which columns a list has, and in which order.
import type { Column } from "./columns";
import { Icon } from "./ui";

export function Chooser({
  shown,
  all,
  chosen,
  onColumns,
}: {
  shown: string[];
  all: Column[];
  chosen: string[] | null;
  onColumns: (c: string[] | null) => void;
}) {
  const rest = all.filter(c => !shown.includes(c.id)),
    title = (id: string) => all.find(c => c.id === id)?.title ?? id.slice(2);
  const swap = (i: number, by: number) => {
    const next = [...shown];
    [next[i], next[i + by]] = [next[i + by]!, next[i]!];
    onColumns(next);
  };
  return (
    <div class="chooser">
      <ul>
        {shown.map((id, i) => (
          <li key={id}>
            <label>
              <input
                type="checkbox"
                checked
                disabled={shown.length === 1}
                onChange={() => onColumns(shown.filter(s => s !== id))}
              />
              <span class="clip">{title(id)}</span>
              {id.startsWith("m.") && <span class="sub">metadata</span>}
            </label>
            <button
              type="button"
              class="bare"
              disabled={i === 0}
              aria-label={`Move ${title(id)} to the left`}
              title="Move left"
              onClick={() => swap(i, -1)}
            >
              <Icon name="up" />
            </button>
            <button
              type="button"
              class="bare"
              disabled={i === shown.length - 1}
              aria-label={`Move ${title(id)} to the right`}
              title="Move right"
              onClick={() => swap(i, 1)}
            >
              <Icon name="down" />
            </button>
          </li>
        ))}
        {rest.map(c => (
          <li key={c.id}>
            <label>
              <input type="checkbox" checked={false} onChange={() => onColumns([...shown, c.id])} />
              <span class="clip">{c.title}</span>
              {c.id.startsWith("m.") && <span class="sub">metadata</span>}
            </label>
          </li>
        ))}
      </ul>
      {chosen && (
        <button type="button" class="button" onClick={() => onColumns(null)}>
          Back to the usual columns
        </button>
      )}
    </div>
  );
}
