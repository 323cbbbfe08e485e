<?php
/**
 * The settings, and their page: Settings -> Counterflow.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const OPTION   = 'counterflow_settings';
const DEFAULTS = array(
	'hook_url'     => '',
	'hook_secret'  => '',
	'earn_rate'    => 0,       // Points for each whole unit of currency that was paid; 0 is none.
	'earn_when'    => 'paid',  // Or completed.
	'point_cents'  => 0,       // What a point is worth at the checkout; 0 is: points do not pay.
	'cards_pay'    => '',      // Whether gift cards pay at the checkout: yes or nothing.
	'delete_data'  => '',      // Whether uninstalling deletes points and cards: yes or nothing.
);

add_action( 'admin_menu', __NAMESPACE__ . '\add_settings_page' );
add_action( 'admin_init', __NAMESPACE__ . '\register_settings' );
add_action( 'admin_notices', __NAMESPACE__ . '\show_trouble' );

/**
 * Give one setting.
 *
 * @param string $name One of DEFAULTS.
 * @return string|int
 */
function setting( string $name ) {
	$kept = get_option( OPTION );
	return is_array( $kept ) && isset( $kept[ $name ] ) ? $kept[ $name ] : DEFAULTS[ $name ];
}

/**
 * Add the page.
 */
function add_settings_page(): void {
	add_options_page( 'Counterflow', 'Counterflow', 'manage_options', 'counterflow', __NAMESPACE__ . '\show_settings' );
}

/**
 * Register the settings: WordPress checks who saves them, and its nonce.
 */
function register_settings(): void {
	register_setting(
		'counterflow',
		OPTION,
		array(
			'type'              => 'array',
			'sanitize_callback' => __NAMESPACE__ . '\clean_settings',
		)
	);
}

/**
 * Make what was sent into settings.
 *
 * @param mixed $given What was sent.
 */
function clean_settings( $given ): array {
	$given  = is_array( $given ) ? $given : array();
	$secret = isset( $given['hook_secret'] ) ? trim( (string) $given['hook_secret'] ) : '';
	return array(
		'hook_url'    => isset( $given['hook_url'] ) ? esc_url_raw( trim( (string) $given['hook_url'] ), array( 'http', 'https' ) ) : '',
		'hook_secret' => '' === $secret ? setting( 'hook_secret' ) : $secret, // The page never shows it, so an empty field keeps it.
		'earn_rate'   => isset( $given['earn_rate'] ) ? absint( $given['earn_rate'] ) : 0,
		'earn_when'   => isset( $given['earn_when'] ) && 'completed' === $given['earn_when'] ? 'completed' : 'paid',
		'point_cents' => isset( $given['point_cents'] ) ? absint( $given['point_cents'] ) : 0,
		'cards_pay'   => empty( $given['cards_pay'] ) ? '' : 'yes',
		'delete_data' => empty( $given['delete_data'] ) ? '' : 'yes',
	);
}

/**
 * Tell an administrator where the tables cannot keep what they must.
 */
function show_trouble(): void {
	$refusal = current_user_can( 'manage_options' ) ? refuse_without_transactions() : null;
	if ( $refusal ) {
		echo '<div class="notice notice-error"><p>Counterflow: ' . esc_html( $refusal->get_error_message() ) . '</p></div>';
	}
}

/**
 * Show the page.
 */
function show_settings(): void {
	?>
	<div class="wrap">
		<h1>Counterflow</h1>
		<form action="options.php" method="post">
			<?php settings_fields( 'counterflow' ); ?>
			<table class="form-table" role="presentation">
				<?php
				show_field( 'hook_url', __( 'Tell of changes at', 'counterflow-companion' ), 'url', __( 'counterflow\'s address for hooks. Empty: it finds changes by asking.', 'counterflow-companion' ) );
				show_field( 'hook_secret', __( 'Secret', 'counterflow-companion' ), 'password', setting( 'hook_secret' ) ? __( 'One is set. Leave this empty to keep it.', 'counterflow-companion' ) : __( 'The same as in counterflow\'s settings.', 'counterflow-companion' ) );
				show_field( 'earn_rate', __( 'Points earned for each whole unit of currency', 'counterflow-companion' ), 'number', __( '0: an order earns nothing here. Let only one side earn: this, or Counterpoint\'s programme.', 'counterflow-companion' ) );
				show_field( 'earn_when', __( 'Earned when', 'counterflow-companion' ), 'choice', '' );
				show_field( 'point_cents', __( 'Cents a point is worth at the checkout', 'counterflow-companion' ), 'number', __( '0: points do not pay.', 'counterflow-companion' ) );
				show_field( 'cards_pay', __( 'Gift cards pay at the checkout', 'counterflow-companion' ), 'checkbox', '' );
				show_field( 'delete_data', __( 'Delete points and gift cards when the plugin is deleted', 'counterflow-companion' ), 'checkbox', __( 'They are money. There is no way back.', 'counterflow-companion' ) );
				?>
			</table>
			<?php submit_button(); ?>
		</form>
	</div>
	<?php
}

/**
 * Show one field.
 *
 * @param string $name  One of DEFAULTS.
 * @param string $label What it is.
 * @param string $type  An input's type, or `choice`.
 * @param string $hint  What to know; may be empty.
 */
function show_field( string $name, string $label, string $type, string $hint ): void {
	$value = 'password' === $type ? '' : setting( $name );
	?>
	<tr>
		<th scope="row"><label for="<?php echo esc_attr( $name ); ?>"><?php echo esc_html( $label ); ?></label></th>
		<td>
			<?php if ( 'choice' === $type ) : ?>
				<select id="<?php echo esc_attr( $name ); ?>" name="<?php echo esc_attr( OPTION . "[$name]" ); ?>">
					<option value="paid" <?php selected( $value, 'paid' ); ?>><?php esc_html_e( 'the order is paid', 'counterflow-companion' ); ?></option>
					<option value="completed" <?php selected( $value, 'completed' ); ?>><?php esc_html_e( 'the order is completed', 'counterflow-companion' ); ?></option>
				</select>
			<?php else : ?>
				<input id="<?php echo esc_attr( $name ); ?>" name="<?php echo esc_attr( OPTION . "[$name]" ); ?>" type="<?php echo esc_attr( $type ); ?>"
					<?php echo 'number' === $type ? 'min="0" step="1"' : ''; ?>
					<?php checked( 'checkbox' === $type && 'yes' === $value ); ?>
					value="<?php echo esc_attr( 'checkbox' === $type ? 'yes' : $value ); ?>" autocomplete="off">
			<?php endif; ?>
			<?php if ( $hint ) : ?>
				<p class="description"><?php echo esc_html( $hint ); ?></p>
			<?php endif; ?>
		</td>
	</tr>
	<?php
}
