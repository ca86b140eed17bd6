// Comfort only; every page works without it. Nothing is stored.
"use strict";

for (const form of document.querySelectorAll("form[data-once]")) {
  const button = form.querySelector("button.main");
  const notice = form.querySelector(".offline");
  const label = button.textContent;
  let insists = false;

  // In a dead spot the browser would put its own error in place of the form, and what was tapped would be lost.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.disabled = true;
    button.textContent = form.dataset.sending;
    notice.hidden = true;
    if (insists) return form.submit();
    const probe = new Image();
    const timer = setTimeout(() => { probe.src = ""; failed(); }, 8000);
    const failed = () => {
      clearTimeout(timer);
      insists = true;
      button.disabled = false;
      button.textContent = label;
      notice.textContent = form.dataset.offline;
      notice.hidden = false;
    };
    probe.onload = () => { clearTimeout(timer); form.submit(); };
    probe.onerror = failed;
    probe.src = `${form.dataset.probe}&at=${Date.now()}`;
  });

  // A tap on a chosen answer takes it back.
  form.addEventListener("click", (event) => {
    const label = event.target.closest(".tap > label");
    const input = label && document.getElementById(label.htmlFor);
    if (input && input.checked && !input.matches("[name=channel], [name=outcome]")) {
      event.preventDefault();
      input.checked = false;
    }
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

const problems = document.getElementById("problems");
if (problems) problems.focus();
// A problem inside closed details must be reachable by its link.
addEventListener("hashchange", () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const closed = target && target.closest("details");
  if (closed) closed.open = true;
});
