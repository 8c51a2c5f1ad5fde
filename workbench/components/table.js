// A table that is sorted by a click on a column header. All text is set as text, never as HTML.
const ORIGINAL_ORDER = { title: null, direction: 1 };

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

function makeCell(cell, column, first) {
  const node = element(first ? "th" : "td", column.number ? "number" : "");
  if (first) node.scope = "row";
  if (cell.title) node.title = cell.title;
  if (cell.color) {
    const dot = element("span", "dot");
    dot.style.background = cell.color;
    node.append(dot);
  }
  node.append(element("span", cell.best ? "best" : "", cell.text));
  if (cell.spread) node.append(element("span", "spread", ` ± ${cell.spread}`));
  return node;
}

// Compare two cells; missing values come last in both directions.
function compare(a, b, direction) {
  if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
  if (typeof a.value === "number") return direction * (a.value - b.value);
  return direction * String(a.value).localeCompare(String(b.value), undefined, { numeric: true });
}

function sorted(rows, columns, { title, direction }) {
  const column = columns.findIndex((one) => one.title === title);
  if (column < 0) return rows;
  return [...rows].sort((a, b) => compare(a[column], b[column], direction));
}

// The order after another click: numbers from high to low and text from low to high, then the
// reverse, then the original order.
function nextOrder(order, { title, number }) {
  const first = number ? -1 : 1;
  if (order.title !== title) return { title, direction: first };
  return order.direction === first ? { title, direction: -first } : ORIGINAL_ORDER;
}

function makeHead(columns, order, sortBy) {
  const row = element("tr");
  for (const column of columns) {
    const cell = element("th", column.number ? "number" : "");
    const button = element("button", "", column.title);
    cell.scope = "col";
    button.type = "button";
    button.title = `Sort by ${column.title}`;
    button.onclick = () => sortBy(nextOrder(order, column));
    if (order.title === column.title) {
      cell.ariaSort = order.direction > 0 ? "ascending" : "descending";
      button.append(element("span", "arrow", order.direction > 0 ? " ↑" : " ↓"));
    }
    cell.append(button);
    row.append(cell);
  }
  const head = element("thead");
  head.append(row);
  return head;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".table");
  const draw = (order) => {
    const focused = [...root.querySelectorAll("thead button")].indexOf(root.getRootNode().activeElement);
    root.order = order;
    const table = element("table");
    table.ariaLabel = data.alt;
    const body = element("tbody");
    for (const cells of sorted(data.rows, data.columns, order)) {
      const row = element("tr");
      row.append(...cells.map((cell, i) => makeCell(cell, data.columns[i], i === 0)));
      body.append(row);
    }
    table.append(makeHead(data.columns, order, draw), body);
    root.replaceChildren(table);
    root.querySelectorAll("thead button")[focused]?.focus();
  };
  draw(root.order ?? ORIGINAL_ORDER);
}
