// A table of figures that is sorted by a click on the head of a column. All text is set as text.
function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

function makeCell(cell, column, first) {
  const node = element(first ? "th" : "td", column.number ? "number" : "");
  if (first) node.scope = "row";
  if (cell.colour) {
    const dot = element("span", "dot");
    dot.style.background = cell.colour;
    node.append(dot);
  }
  node.append(element("span", cell.best ? "best" : "", cell.text));
  if (cell.spread) node.append(element("span", "spread", ` ± ${cell.spread}`));
  return node;
}

// Figures: highest first; what is unknown comes last either way.
function compare(a, b, direction) {
  if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
  if (typeof a.value === "number") return direction * (a.value - b.value);
  return direction * String(a.value).localeCompare(String(b.value), undefined, { numeric: true });
}

function sorted(rows, { column, direction }) {
  if (column === null) return rows;
  return [...rows].sort((a, b) => compare(a[column], b[column], direction));
}

function nextOrder(order, column, number) {
  const first = number ? -1 : 1;
  if (order.column !== column) return { column, direction: first };
  return order.direction === first ? { column, direction: -first } : { column: null, direction: 1 };
}

function makeHead(columns, order, sortBy) {
  const row = element("tr");
  columns.forEach((column, i) => {
    const cell = element("th", column.number ? "number" : "");
    const button = element("button", "", column.title);
    cell.scope = "col";
    button.type = "button";
    button.title = `Sort by ${column.title}`;
    button.onclick = () => sortBy(nextOrder(order, i, column.number));
    if (order.column === i) {
      cell.ariaSort = order.direction > 0 ? "ascending" : "descending";
      button.append(element("span", "arrow", order.direction > 0 ? " ↑" : " ↓"));
    }
    cell.append(button);
    row.append(cell);
  });
  const head = element("thead");
  head.append(row);
  return head;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".table");
  const draw = (order) => {
    root.order = order;
    const table = element("table");
    table.ariaLabel = data.alt;
    const body = element("tbody");
    for (const cells of sorted(data.rows, order)) {
      const row = element("tr");
      row.append(...cells.map((cell, i) => makeCell(cell, data.columns[i], i === 0)));
      body.append(row);
    }
    table.append(makeHead(data.columns, order, draw), body);
    root.replaceChildren(table);
  };
  const known = root.order && root.order.column < data.columns.length;
  draw(known ? root.order : { column: null, direction: 1 });
}
