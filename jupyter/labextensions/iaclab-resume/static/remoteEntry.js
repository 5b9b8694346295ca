// Scrolls to the fragment of the address that JupyterLab was opened with, as `iaclab resume` makes it:
// /lab/tree/lectures/04-argocd-deployment.ipynb#cell-id=…
// JupyterLab itself looks at the fragment before the notebook is open, and then drops it. A prebuilt extension in
// JupyterLab's form, written by hand: it imports nothing, so there is nothing to build.
(() => {
  const SECONDS = 180; // a cold start on a slow machine
  const LOOKS = 3; // one a second: so long the cell must stay in sight
  const fragment = window.location.hash;
  const path = decodeURIComponent(window.location.pathname.split("/tree/")[1] || "");
  const sleep = seconds => new Promise(resolve => setTimeout(resolve, 1000 * seconds));

  async function opened(app, deadline) {
    while (Date.now() < deadline) {
      const panel = [...app.shell.widgets("main")].find(one => one.context && one.context.path === path);
      if (panel && panel.setFragment) {
        await panel.context.ready;
        await panel.revealed;
        return panel;
      }
      await sleep(0.1);
    }
  }

  function inSight(panel) {
    const cell = panel.content.widgets.find(one => fragment === `#cell-id=${one.model.id}`);
    if (!cell) {
      return true; // nothing to wait for: a heading, or no cell of this notebook
    }
    const [at, frame] = [cell.node.getBoundingClientRect(), panel.content.node.getBoundingClientRect()];
    return at.height > 0 && at.bottom > frame.top && at.top < frame.bottom;
  }

  // While a long notebook is being drawn, a call is lost now and then, and cells that come in above push others away.
  async function scroll(app) {
    const deadline = Date.now() + 1000 * SECONDS;
    const panel = await opened(app, deadline);
    let touched = false; // from then on the user is the one who scrolls
    for (const event of ["keydown", "pointerdown", "wheel"]) {
      window.addEventListener(event, () => (touched = true), { capture: true, once: true });
    }
    for (let looks = -1; panel && !touched && looks < LOOKS && Date.now() < deadline; await sleep(1)) {
      if (looks >= 0 && inSight(panel)) {
        looks += 1;
      } else {
        looks = 0;
        panel.setFragment(fragment);
      }
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
