// A table: sorted by its heads, columns that can be made wider and moved, rows drawn only where they can be seen.
// @tanstack/table-core keeps columns, sizes and order, @tanstack/virtual-core which rows are in view; both are without
// a framework, what is here is how they are drawn. The numbers change in place: while the pointer is over the table its
// rows keep their order.
import {
  createTable,
  getCoreRowModel,
  getSortedRowModel,
  type ColumnDef,
  type Header,
  type Row,
  type SortingState,
  type Table,
  type TableState,
} from "@tanstack/table-core";
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from "@tanstack/virtual-core";
import { Component, type ComponentChildren, type JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { toCsv, type Cell } from "./csv";
import { Exports, tablePng } from "./exporting";
import { useKeys } from "./state";
import { Icon } from "./ui";

export interface TableColumn<T> {
  id: string;
  title: string;
  help?: string; // on hover over the head
  note?: string; // behind the title, in small
  width: number;
  numeric?: boolean;
  sortable?: boolean;
  metadata?: boolean; // named by the workspace, not by us
  value: (row: T) => Cell; // what CSV has, and what it is sorted by
  cell: (row: T) => ComponentChildren;
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
  scrollTop?: number; // where it begins
  head?: ComponentChildren; // above it, beside the buttons that copy
}

const MIN = 48;
const NO_ROWS: never[] = [];

export function DataTable<T>(props: Props<T>) {
  const { rows, columns, rowKey, rowHeight = 32, tall = false } = props;
  const [inner, setInner] = useState<Sort | null>(props.sort ?? null),
    [size, setSize] = useState<Record<string, number>>(props.widths ?? {});
  const sort = props.onSort ? (props.sort ?? null) : inner;
  const box = useRef<HTMLDivElement>(null),
    element = useRef<HTMLTableElement>(null),
    held = useRef(false),
    order = useRef<Map<string, number>>(new Map());
  const table = useTable(rows ?? NO_ROWS, columns, rowKey, sort, size, next => {
    setSize(next);
    props.onWidths?.(next);
  });

  const model = table.getSortedRowModel().rows;
  const shown = useMemo(() => {
    if (!held.current) return model;
    const at = (r: Row<T>) => order.current.get(r.id) ?? Infinity;
    return [...model].sort((a, b) => at(a) - at(b) || 0);
  }, [model]);
  useMemo(() => (order.current = new Map(shown.map((r, i) => [r.id, i]))), [shown]);

  const virtual = useVirtual(tall ? box : null, shown.length, rowHeight);
  const drawn = tall ? virtual.getVirtualItems().map(v => shown[v.index]!) : shown,
    before = tall ? (virtual.getVirtualItems()[0]?.start ?? 0) : 0,
    after = tall ? virtual.getTotalSize() - before - drawn.length * rowHeight : 0;
  const last = tall ? (virtual.getVirtualItems().at(-1)?.index ?? -1) : -1;
  useEffect(() => {
    if (tall && last >= 0 && last === shown.length - 1) props.onEnd?.();
  }, [last, shown.length]);
  useLayoutEffect(() => {
    if (rows && box.current && props.scrollTop !== undefined) box.current.scrollTop = props.scrollTop;
  }, [rows !== null]);

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
    if (tall) virtual.scrollToIndex(next);
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
  const heads = table.getFlatHeaders(),
    width = heads.reduce((w, h) => w + h.getSize(), 0);
  const source = () =>
    rows && element.current
      ? {
          csv: () =>
            toCsv(
              columns.map(c => c.title),
              shown.map(r => columns.map(c => c.value(r.original))),
            ),
          png: () => tablePng(element.current!, props.label),
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
        class={`table data${tall ? " tall" : ""}${props.stale ? " stale" : ""}`}
        ref={box}
        tabIndex={0}
        role="region"
        aria-label={props.label}
        onScroll={e => (props.onScroll?.(e.currentTarget.scrollTop), attend())}
        onFocusCapture={attend}
        onBlurCapture={() => setTimeout(attend)}
        onPointerEnter={e => ((pointer.current = e.pointerType === "mouse"), attend())}
        onPointerLeave={() => ((pointer.current = false), attend())}
      >
        <table ref={element} style={{ minWidth: `${width}px` }} aria-rowcount={tall ? shown.length + 1 : undefined}>
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
          <tbody>
            {before > 0 && <tr aria-hidden="true" style={{ height: `${before}px` }} />}
            {drawn.map(r => (
              <Line
                key={r.id}
                at={order.current.get(r.id) ?? 0}
                row={r.original}
                columns={columns}
                mark={props.rowClass?.(r.original)}
                tall={tall}
                onOpen={props.onOpen}
              />
            ))}
            {after > 0 && <tr aria-hidden="true" style={{ height: `${after}px` }} />}
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
  mark: string | undefined;
  tall: boolean;
  onOpen: ((row: T) => void) | undefined;
}

// While one scrolls, a row that stays in view is not drawn again.
class Line<T> extends Component<LineProps<T>> {
  override shouldComponentUpdate(next: LineProps<T>): boolean {
    const now = this.props;
    return (Object.keys(next) as (keyof LineProps<T>)[]).some(k => next[k] !== now[k]);
  }
  override render({ at, row, columns, mark, tall, onOpen }: LineProps<T>) {
    return (
      <tr data-row={at} class={mark} onClick={e => onOpen && open(e, () => onOpen(row))}>
        {columns.map(c => (
          <td key={c.id} class={c.numeric ? "num" : undefined}>
            {c.cell(row)}
          </td>
        ))}
        {tall && <td data-skip="" />}
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
      {column.sortable ? (
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

function useVirtual(
  box: { current: HTMLDivElement | null } | null,
  count: number,
  rowHeight: number,
): Virtualizer<HTMLDivElement, HTMLTableRowElement> {
  const [, redraw] = useState(0);
  const options = {
    count,
    getScrollElement: () => box?.current ?? null,
    estimateSize: () => rowHeight,
    overscan: 12,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => redraw(n => n + 1),
    enabled: box !== null,
    scrollPaddingStart: 28,
    initialRect: { width: 1000, height: 900 },
  };
  const [virtual] = useState(() => new Virtualizer<HTMLDivElement, HTMLTableRowElement>(options));
  virtual.setOptions({ ...virtual.options, ...options });
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  return virtual;
}
