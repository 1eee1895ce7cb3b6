// The page of an invitation link: fills in the link, whose secret part only the browser knows.
const link = window.location.href;
for (const place of document.querySelectorAll("[data-invitation]")) place.textContent = link;
for (const button of document.querySelectorAll("[data-invitation-copy]")) button.dataset.copy = link;
