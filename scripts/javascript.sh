# Sourced by scripts/test. Installs the npm packages of tests/html/package.json, and lints the JavaScript of the report.

check_javascript() {
    local packages=tests/html/node_modules wanted
    wanted=$(cksum < tests/html/package-lock.json)
    if [ "$(cat "$packages/installed" 2>/dev/null)" != "$wanted" ]; then
        if ! npm ci --prefix tests/html --silent; then
            echo "note: npm is missing or cannot install tests/html/package.json, so the JavaScript is not checked" >&2
            [ -z "${CI:-}" ]
            return
        fi
        echo "$wanted" > "$packages/installed"
    fi
    "$packages/.bin/eslint" --max-warnings 0 --config tests/html/eslint.config.mjs src/mnist_lite/reporting/html tests/html
    "$packages/.bin/prettier" --config tests/html/.prettierrc.json --check --log-level warn \
        'src/mnist_lite/reporting/html/*.mjs' 'tests/html/*.mjs'
}
