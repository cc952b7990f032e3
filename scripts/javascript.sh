# Sourced by scripts/test. Installs the npm packages of tests/html/package.json, and lints the JavaScript of the report.

check_javascript() {
    local packages=tests/html/node_modules wanted
    if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
        echo "note: node or npm is missing, so the JavaScript is not checked and its tests are skipped" >&2
        [ -z "${CI:-}" ]
        return
    fi
    wanted=$(cksum < tests/html/package-lock.json)
    if [ "$(cat "$packages/installed" 2>/dev/null)" != "$wanted" ]; then
        npm ci --prefix tests/html --silent || return 1
        echo "$wanted" > "$packages/installed"
    fi
    "$packages/.bin/eslint" --max-warnings 0 --config tests/html/eslint.config.mjs src/mnist_lite/reporting/html tests/html
    "$packages/.bin/prettier" --config tests/html/.prettierrc.json --check --log-level warn \
        'src/mnist_lite/reporting/html/*.mjs' 'tests/html/*.mjs'
}
