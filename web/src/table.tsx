// A table: sorted by its heads, columns that can be made wider and moved; in a tall one rows and columns are drawn only
// where they can be seen. @tanstack/table-core keeps columns, sizes and order, without a framework; what is here is how
// they are drawn. The numbers change in place: while the pointer is over the table its rows keep their order.
import {
  createTable,
  getCoreRowModel,
  getSortedRowModel,
  type ColumnDef,
  type Header,
  type SortingState,
  type Table,
  type TableState,
} from "@tanstack/table-core";
import { Component, type ComponentChildren, type JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { toCsv, type Cell } from "./csv";
import { Exports, tablePng } from "./exporting";
import { onPaper, usePaper } from "./paper";
import { useKeys, useLate } from "./state";
import { Icon } from "./ui";

// What a cell shows; `over`: the pointer is on it.
export interface Drawn<T> {
  cell: (row: T, over: boolean) => ComponentChildren;
  look?: (row: T) => string | undefined; // its class
  tip?: (row: T) => string | undefined; // under the pointer
}

export interface TableColumn<T> extends Drawn<T> {
  id: string;
  title: string;
  help?: string; // on hover over the head
  note?: string; // behind the title, in small
  width: number;
  numeric?: boolean;
  sortable?: boolean;
  metadata?: boolean; // named by the workspace, not by us
  value: (row: T) => Cell; // what CSV has, and what it is sorted by
}

export interface Sort {
  id: string;
  down: boolean;
}

interface Props<T> {
  label: string; // for those who hear the page
  file: string; // name of what is saved
  rows: T[] | null; // null: not there yet
  columns: TableColumn<T>[];
  rowKey: (row: T) => string;
  empty: ComponentChildren;
  sort?: Sort | null; // null: as the rows come
  onSort?: (s: Sort) => void;
  widths?: Record<string, number>;
  onWidths?: (w: Record<string, number>) => void;
  onOrder?: (ids: string[]) => void; // columns can be moved
  onOpen?: (row: T) => void; // a click on a row, beside its links
  rowClass?: (row: T) => string | undefined;
  rowHeight?: number;
  tall?: boolean; // fills the page and scrolls inside: rows out of sight are not drawn
  stale?: boolean;
  keys?: boolean; // j and k go through its rows
  exports?: boolean;
  onEnd?: () => void; // its last row came into view
  onScroll?: (top: number) => void;
  onHeld?: (held: boolean) => void; // somebody is at it
  listed?: string | undefined; // which list it is: each one begins
  scrollTop?: number; // here
  head?: ComponentChildren; // above it, beside the buttons that copy
}

const MIN = 48;
const HEAD = 28; // px, the row of heads
const BLOCK = 4; // rows that come and go together
const BEYOND = 8; // rows that are drawn beyond what is in view, where one goes to
const BESIDE = 96; // px, columns so near to what is in view are drawn
const AHEAD = 50; // rows that are there beyond what is drawn, before more are asked for
const NO_ROWS: never[] = [];

export function DataTable<T>(props: Props<T>) {
  const { rows, columns, rowKey, rowHeight = 32, tall = false } = props;
  const [inner, setInner] = useState<Sort | null>(props.sort ?? null),
    [size, setSize] = useState<Record<string, number>>(props.widths ?? {});
  const sort = props.onSort ? (props.sort ?? null) : inner;
  const box = useRef<HTMLDivElement>(null),
    element = useRef<HTMLTableElement>(null),
    held = useRef(false),
    order = useRef<Map<string, number>>(new Map()),
    late = useLate(props.stale === true);
  const table = useTable(rows ?? NO_ROWS, columns, rowKey, sort, size, next => {
    setSize(next);
    props.onWidths?.(next);
  });

  // A list comes in its order, and its rows may be many: nothing is made of each.
  const shown = useMemo(() => {
    const all = sort ? table.getSortedRowModel().rows.map(r => r.original) : (rows ?? NO_ROWS);
    if (tall || !held.current) return all;
    const at = (r: T) => order.current.get(rowKey(r)) ?? Infinity;
    return [...all].sort((a, b) => at(a) - at(b) || 0);
  }, [rows, sort?.id, sort?.down]);
  useMemo(() => {
    if (!tall) order.current = new Map(shown.map((r, i) => [rowKey(r), i]));
  }, [shown]);

  const heads = table.getFlatHeaders(),
    widths = heads.map(h => h.getSize()),
    width = widths.reduce((a, b) => a + b, 0);
  const paper = usePaper();
  const view = useView(tall ? box : null, shown.length, rowHeight, widths);
  const drawn = tall ? shown.slice(view.first, view.last) : shown,
    first = tall ? view.first : 0;
  const after = shown.length - first - drawn.length;
  useLayoutEffect(() => {
    if (tall && after <= (first > 0 ? AHEAD : 0)) props.onEnd?.();
  }, [first, after]);
  useLayoutEffect(() => {
    if (rows && box.current && props.scrollTop !== undefined) {
      box.current.scrollTop = props.scrollTop;
      view.look();
    }
  }, [rows !== null, props.listed]);

  const pointer = useRef(false);
  const attend = () => {
    const e = box.current;
    if (!e) return;
    const now = pointer.current || (e.contains(document.activeElement) && document.activeElement !== e);
    if (now !== held.current) held.current = now;
    props.onHeld?.(now || e.scrollTop > 0);
  };
  useEffect(() => () => props.onHeld?.(false), []);

  // A row that is not drawn yet gets the focus with the next frame; the key may be pressed again before.
  const aim = useRef<number | null>(null);
  const step = (by: number) => {
    const active = document.activeElement?.closest<HTMLTableRowElement>("tr[data-row]");
    const here = aim.current ?? (active && box.current?.contains(active) ? Number(active.dataset["row"]) : null);
    const at = here !== null ? here + by : by > 0 ? 0 : shown.length - 1;
    const next = Math.max(0, Math.min(shown.length - 1, at));
    if (tall) view.show(next);
    const focus = (): boolean => {
      const target = box.current?.querySelector<HTMLElement>(`tr[data-row="${next}"] a, tr[data-row="${next}"] button`);
      target?.focus({ preventScroll: tall });
      if (!tall) target?.scrollIntoView({ block: "nearest" });
      return target !== null && target !== undefined;
    };
    aim.current = null;
    if (focus()) return;
    aim.current = next;
    requestAnimationFrame(() => {
      if (aim.current !== next) return;
      aim.current = null;
      focus();
    });
  };
  useKeys(props.keys ? { j: () => step(1), k: () => step(-1) } : {});

  const sortBy = (c: TableColumn<T>) => {
    const next = { id: c.id, down: sort?.id === c.id ? !sort.down : c.numeric === true };
    held.current = false;
    if (props.onSort) props.onSort(next);
    else setInner(next);
  };
  // While one scrolls, the head stays as it is, and so does each row that stays in view.
  const top = useMemo(
    () => (
      <>
          <colgroup>
            {heads.map(h => (
              <col key={h.id} style={{ width: `${h.getSize()}px` }} />
            ))}
            {tall && <col />}
          </colgroup>
          <thead>
            <tr>
              {heads.map((h, i) => (
                <Head
                  key={h.id}
                  header={h}
                  column={columns[i]!}
                  sort={sort}
                  onSort={() => sortBy(columns[i]!)}
                  onMove={props.onOrder && (from => props.onOrder!(moved(columns, from, columns[i]!.id)))}
                  onWidth={w => {
                    const next = { ...size, [h.id]: Math.max(MIN, w) };
                    setSize(next);
                    props.onWidths?.(next);
                  }}
                />
              ))}
              {tall && <td data-skip="" />}
            </tr>
          </thead>
      </>
    ),
    [columns, sort?.id, sort?.down, size, widths.join(), props.onSort, props.onOrder, paper],
  );
  const source = () =>
    rows && element.current
      ? {
          csv: () =>
            toCsv(
              columns.map(c => c.title),
              shown.map(r => columns.map(c => c.value(r))),
            ),
          png: () => view.whole(() => tablePng(element.current!, props.label)),
        }
      : null;
  return (
    <>
      {(props.head || props.exports) && (
        <header class="over">
          {props.head}
          {props.exports && <Exports name={props.file} what={props.label} source={source} />}
        </header>
      )}
      <div
        class={`table data${tall ? " tall" : ""}${late ? " stale" : ""}`}
        ref={box}
        tabIndex={0}
        role="region"
        aria-label={props.label}
        onScroll={e => (view.look(), props.onScroll?.(e.currentTarget.scrollTop), attend())}
        onFocusCapture={attend}
        onBlurCapture={() => setTimeout(attend)}
        onPointerEnter={e => ((pointer.current = e.pointerType === "mouse"), attend())}
        onPointerLeave={() => ((pointer.current = false), attend())}
      >
        <table
          ref={element}
          style={{ minWidth: `${width}px`, "--columns": columns.length }}
          aria-rowcount={tall ? shown.length + 1 : undefined}
          aria-colcount={tall ? columns.length : undefined}
        >
          {top}
          <tbody>
            {first > 0 && <tr aria-hidden="true" style={{ height: `${first * rowHeight}px` }} />}
            {drawn.map((r, i) => (
              <Line
                key={rowKey(r)}
                at={first + i}
                row={r}
                columns={columns}
                from={tall ? view.from : 0}
                to={tall ? view.to : columns.length}
                mark={props.rowClass?.(r)}
                tall={tall}
                onOpen={props.onOpen}
              />
            ))}
            {after > 0 && <tr aria-hidden="true" style={{ height: `${after * rowHeight}px` }} />}
            {rows?.length === 0 && (
              <tr>
                <td colSpan={columns.length} class="none">
                  {props.empty}
                </td>
              </tr>
            )}
            {!rows &&
              Array.from({ length: tall ? 12 : 3 }, (_, i) => (
                <tr key={i} class="waiting" aria-hidden="true">
                  {columns.map(c => (
                    <td key={c.id}>
                      <span />
                    </td>
                  ))}
                </tr>
              ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

interface LineProps<T> {
  at: number;
  row: T;
  columns: TableColumn<T>[];
  from: number; // of the columns those in view, and always the first
  to: number;
  mark: string | undefined;
  tall: boolean;
  onOpen: ((row: T) => void) | undefined;
}

class Line<T> extends Component<LineProps<T>, { over: number }> {
  override state = { over: -1 };
  override shouldComponentUpdate(next: LineProps<T>, { over }: { over: number }): boolean {
    const now = this.props;
    return over !== this.state.over || (Object.keys(next) as (keyof LineProps<T>)[]).some(k => next[k] !== now[k]);
  }
  // Where the pointer moves: rows that go by under it while it stands still are left alone.
  over = (e: PointerEvent) => {
    const over = Number((e.target as Element).closest("td")?.getAttribute("aria-colindex")) - 1;
    if (over !== this.state.over) this.setState({ over });
  };
  override render({ at, row, columns, from, to, mark, tall, onOpen }: LineProps<T>, { over }: { over: number }) {
    const cell = (c: TableColumn<T>, i: number) => (
      <td
        key={c.id}
        aria-colindex={tall ? i + 1 : undefined}
        class={[c.numeric && "num", c.look?.(row), over === i && "pointed"].filter(Boolean).join(" ") || undefined}
        title={over === i ? c.tip?.(row) : undefined}
      >
        {c.cell(row, over === i)}
      </td>
    );
    return (
      <tr
        data-row={at}
        aria-rowindex={tall ? at + 2 : undefined}
        class={mark}
        onClick={e => onOpen && open(e, () => onOpen(row))}
        onPointerMove={this.over}
        onPointerLeave={() => this.setState({ over: -1 })}
      >
        {from > 0 && cell(columns[0]!, 0)}
        {from > 1 && <td key="before" data-skip="" aria-hidden="true" colSpan={from - 1} />}
        {columns.slice(from, to).map((c, i) => cell(c, from + i))}
        {tall && <td key="after" data-skip="" aria-hidden="true" colSpan={columns.length - to + 1} />}
      </tr>
    );
  }
}

function open(e: MouseEvent, act: () => void): void {
  if (!(e.target as Element).closest("a, button, input, label") && !getSelection()?.toString()) act();
}

function moved<T>(columns: TableColumn<T>[], from: string, to: string): string[] {
  const ids = columns.map(c => c.id),
    rest = ids.filter(id => id !== from),
    at = ids.indexOf(to);
  return [...rest.slice(0, at), from, ...rest.slice(at)];
}

function Head<T>({
  header,
  column,
  sort,
  onSort,
  onMove,
  onWidth,
}: {
  header: Header<T, unknown>;
  column: TableColumn<T>;
  sort: Sort | null;
  onSort: () => void;
  onMove: ((from: string) => void) | undefined;
  onWidth: (w: number) => void;
}) {
  const sorted = sort?.id === column.id ? (sort.down ? "descending" : "ascending") : undefined;
  const title = (
    <>
      <span class="clip">{column.title}</span>
      {column.note && <span class="sub"> {column.note}</span>}
    </>
  );
  const drag: JSX.HTMLAttributes<HTMLTableCellElement> = onMove
    ? {
        draggable: true,
        onDragStart: e => e.dataTransfer?.setData("text/x-column", column.id),
        onDragOver: e => e.preventDefault(),
        onDrop: e => {
          const from = e.dataTransfer?.getData("text/x-column");
          e.preventDefault();
          if (from && from !== column.id) onMove(from);
        },
      }
    : {};
  const key = (e: KeyboardEvent) => {
    const by = { ArrowLeft: -16, ArrowRight: 16 }[e.key];
    if (by === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    onWidth(header.getSize() + by);
  };
  return (
    <th
      scope="col"
      class={[column.numeric && "num", column.metadata && "meta"].filter(Boolean).join(" ") || undefined}
      aria-sort={column.sortable ? (sorted ?? "none") : undefined}
      title={column.help}
      {...drag}
    >
      {/* A button is not repeated at the head of the next sheet. */}
      {column.sortable && !onPaper() ? (
        <button type="button" class="sort" onClick={onSort}>
          {title}
          <Icon name={sorted === "ascending" ? "up" : "down"} />
        </button>
      ) : (
        <span class="titled">{title}</span>
      )}
      <span
        class="resize"
        role="separator"
        aria-orientation="vertical"
        aria-label={`Width of ${column.title}`}
        aria-valuenow={Math.round(header.getSize())}
        aria-valuemin={MIN}
        aria-valuemax={1000}
        tabIndex={0}
        draggable
        onDragStart={e => (e.preventDefault(), e.stopPropagation())}
        onMouseDown={header.getResizeHandler()}
        onTouchStart={header.getResizeHandler()}
        onDblClick={() => onWidth(column.width)}
        onKeyDown={key}
      />
    </th>
  );
}

function useTable<T>(
  data: T[],
  columns: TableColumn<T>[],
  rowKey: (row: T) => string,
  sort: Sort | null,
  size: Record<string, number>,
  onSize: (s: Record<string, number>) => void,
): Table<T> {
  const [table] = useState(() =>
    createTable<T>({
      data: [],
      columns: [],
      state: {},
      onStateChange: () => undefined,
      renderFallbackValue: null,
      getCoreRowModel: getCoreRowModel(),
      getSortedRowModel: getSortedRowModel(),
      columnResizeMode: "onChange",
      // There are no pages and groups to go back to the first of.
      autoResetAll: false,
    }),
  );
  const [state, setState] = useState<TableState>(table.initialState);
  const ids = columns.map(c => `${c.id} ${c.width}`).join("\n");
  const defs = useMemo<ColumnDef<T>[]>(
    () =>
      columns.map(c => ({
        id: c.id,
        size: c.width,
        minSize: MIN,
        // What is unknown comes last, whichever way it is sorted.
        accessorFn: r => c.value(r) ?? undefined,
        sortUndefined: "last",
        sortingFn: (a, b) => compare(a.getValue(c.id), b.getValue(c.id)),
      })),
    [ids],
  );
  const sorting: SortingState = useMemo(() => (sort ? [{ id: sort.id, desc: sort.down }] : []), [sort?.id, sort?.down]);
  table.setOptions(o => ({
    ...o,
    data,
    columns: defs,
    getRowId: rowKey,
    state: { ...state, sorting, columnSizing: size },
    onColumnSizingChange: u => onSize(typeof u === "function" ? u(size) : u),
    onStateChange: u => setState(s => (typeof u === "function" ? u(s) : u)),
  }));
  return table;
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

// Rows and columns, the second of each the first that is no more of it.
interface View {
  first: number;
  last: number;
  from: number;
  to: number;
}

// What of a table is in view, and a few around it, rows by whole blocks. As rows are of one height this is arithmetic,
// and costs no more with many of them.
function useView(
  box: { current: HTMLDivElement | null } | null,
  count: number,
  rowHeight: number,
  widths: number[],
): View & { look: () => void; show: (at: number) => void; whole: <R>(of: () => R) => Promise<R> } {
  const up = useRef(false),
    before = useRef(0);
  const seen = (): View => {
    const { scrollTop = 0, scrollLeft = 0, clientHeight = innerHeight, clientWidth = innerWidth } = box?.current ?? {};
    if (scrollTop !== before.current) up.current = scrollTop < before.current;
    before.current = scrollTop;
    const block = (y: number) => Math.floor(y / rowHeight / BLOCK) * BLOCK;
    const edges = widths.map((sum => w => (sum += w))(0));
    const to = edges.findIndex(right => right >= scrollLeft + clientWidth + BESIDE) + 1;
    return {
      first: block(scrollTop) - (up.current ? BEYOND : 0),
      last: block(scrollTop + clientHeight) + BLOCK + (up.current ? 0 : BEYOND),
      from: edges.findIndex(right => right > scrollLeft - BESIDE),
      to: to || widths.length,
    };
  };
  const [range, setRange] = useState(seen),
    [whole, setWhole] = useState(false),
    paper = usePaper(),
    all = paper || whole,
    beyond = paper ? BEYOND : 0;
  // On paper the box is as tall as what is drawn: the rows that were in view stay.
  const look = () => {
    if (onPaper()) return;
    const now = seen();
    setRange(r => ((Object.keys(now) as (keyof View)[]).every(k => r[k] === now[k]) ? r : now));
  };
  useLayoutEffect(() => {
    if (!box?.current) return undefined;
    const watch = new ResizeObserver(look);
    watch.observe(box.current);
    return () => watch.disconnect();
  }, [rowHeight, widths.join()]);
  const last = Math.min(range.last - (up.current ? 0 : beyond), count);
  return {
    first: Math.max(0, Math.min(range.first + (up.current ? beyond : 0), last)),
    last,
    from: all ? 0 : Math.max(0, range.from),
    to: all ? widths.length : Math.min(range.to, widths.length),
    look,
    show: at => {
      const e = box!.current!,
        top = at * rowHeight;
      e.scrollTop = Math.max(top + rowHeight + HEAD - e.clientHeight, Math.min(top, e.scrollTop));
      look();
    },
    // With all columns drawn.
    whole: async of => {
      setWhole(true);
      await new Promise(requestAnimationFrame);
      const made = of();
      setWhole(false);
      return made;
    },
  };
}
