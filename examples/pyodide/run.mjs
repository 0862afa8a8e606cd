// Start Pyodide and run program.py in it. In a web page, pyodide.loadPackage("micropip") and
// micropip.install would bring the core; here they are the folders SMRUNTIME_CORE and
// SMRUNTIME_TRANSPORTS.
import { readFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const { SMRUNTIME_CORE, SMRUNTIME_TRANSPORTS, ...env } = process.env;
const settings = Object.entries(env).filter(([name]) => name.startsWith("AWS_"));
const pyodide = await loadPyodide({ env: { HOME: "/", ...Object.fromEntries(settings) } });
for (const [name, folder] of [
    ["smruntime_core", SMRUNTIME_CORE],
    ["smruntime_transports", SMRUNTIME_TRANSPORTS],
]) {
    pyodide.FS.mkdirTree(`/packages/${name}`);
    pyodide.mountNodeFS(`/packages/${name}`, folder);
}
pyodide.FS.writeFile("/packages/program.py", readFileSync(new URL("program.py", import.meta.url)));
try {
    await pyodide.runPythonAsync(`
        import sys
        sys.path.insert(0, "/packages")
        from program import main
        await main()
    `);
} catch (error) {
    console.error(error.message);
    process.exitCode = 1;
}
process.exit(); // Pyodide's timers of ended asyncio.timeout blocks would keep Node running
