// A table of figures that is sorted by a click on the head of a column. All text is set as text.
const AS_GIVEN = { title: null, direction: 1 };

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

// Figures: highest first; what is unknown comes last either way.
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

function nextOrder(order, { title, number }) {
  const first = number ? -1 : 1;
  if (order.title !== title) return { title, direction: first };
  return order.direction === first ? { title, direction: -first } : AS_GIVEN;
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
  draw(root.order ?? AS_GIVEN);
}
