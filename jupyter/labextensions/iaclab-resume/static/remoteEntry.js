// Scrolls to the fragment of the address that JupyterLab was opened with, as `iaclab resume` makes it:
// /lab/tree/lectures/04-argocd-deployment.ipynb#cell-id=…
// JupyterLab itself looks at the fragment before the notebook is open, and then drops it. A prebuilt extension in
// JupyterLab's form, written by hand: it imports nothing, so there is nothing to build.
(() => {
  const SECONDS = 60; // a cold start on a slow machine
  const fragment = window.location.hash;
  const path = decodeURIComponent(window.location.pathname.split("/tree/")[1] || "");

  async function scroll(app) {
    const deadline = Date.now() + SECONDS * 1000;
    while (Date.now() < deadline) {
      const panel = [...app.shell.widgets("main")].find(one => one.context && one.context.path === path);
      if (panel && panel.setFragment) {
        await panel.context.ready;
        await panel.revealed;
        panel.setFragment(fragment);
        return;
      }
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }

  const plugin = {
    id: "iaclab-resume:plugin",
    description: "Scrolls a notebook that an address opens to the cell that its fragment names.",
    autoStart: true,
    activate: app => {
      if (fragment && path) {
        app.restored.then(() => scroll(app));
      }
    },
  };
  const container = { init: () => {}, get: () => Promise.resolve(() => ({ __esModule: true, default: plugin })) };
  window._JUPYTERLAB = Object.assign(window._JUPYTERLAB || {}, { "iaclab-resume": container });
})();
